import numpy as np
import pytest
from evenface_core.errors import ExportError
from evenface_export.quality import (
    choose_threshold,
    measure_detection,
    measure_reconstruction,
    require_nonfaces,
)
from evenface_export.sessions import Float32, UInt8


def _logits(probabilities: list[float]) -> Float32:
    values = np.array(probabilities)
    logits: Float32 = np.log(values / (1 - values)).astype(np.float32)
    return logits


def test_a_threshold_that_parts_faces_and_nonfaces_stays_at_one_half() -> None:
    assert choose_threshold(np.array([0.7, 0.9]), np.array([0.1, 0.4])) == 0.5


def test_a_threshold_moves_where_the_scores_clearly_ask_for_it() -> None:
    faces, nonfaces = np.linspace(0.2, 0.4, 200), np.linspace(0.0, 0.1, 200)
    threshold = choose_threshold(faces, nonfaces)
    assert 0.1 < threshold < 0.21
    assert (faces >= threshold).mean() > 0.95


def test_a_single_odd_face_does_not_drag_the_threshold_down() -> None:
    faces, nonfaces = np.append(np.full(299, 0.9), 0.02), np.full(300, 0.01)
    assert choose_threshold(faces, nonfaces) == 0.5


def test_a_threshold_never_leaves_the_range_where_probabilities_can_be_compared() -> None:
    faces, nonfaces = np.full(500, 1 - 1e-9), np.full(500, 1 - 1e-6)
    assert choose_threshold(faces, nonfaces) <= 0.99


def test_without_one_of_the_classes_the_threshold_is_one_half() -> None:
    assert choose_threshold(np.array([]), np.array([0.9])) == 0.5
    assert choose_threshold(np.array([0.1]), np.array([])) == 0.5


def test_a_threshold_by_false_positives_lets_so_many_nonfaces_pass_and_no_face_less() -> None:
    rng = np.random.default_rng(0)
    faces, nonfaces = rng.uniform(0.5, 1, 300), rng.uniform(0, 0.8, 1000)
    threshold = choose_threshold(faces, nonfaces, 0.02)
    assert (nonfaces >= threshold).sum() == 20
    kept_out = np.sort(nonfaces)[-21]
    assert (faces >= threshold).sum() == (faces > kept_out).sum()
    assert (
        kept_out < threshold < min(scores[scores > kept_out].min() for scores in (faces, nonfaces))
    )


def test_nonfaces_of_equal_score_stay_out_together() -> None:
    nonfaces = np.array([0.9] * 5 + [0.1] * 95)
    threshold = choose_threshold(np.array([0.95]), nonfaces, 0.03)
    assert (nonfaces >= np.float32(threshold)).sum() == 0
    assert threshold < 0.95


def test_a_threshold_by_false_positives_holds_for_neighbouring_float32_probabilities() -> None:
    below = np.float32(1) - np.spacing(np.float32(0.9))
    nonfaces = np.full(100, below, np.float64)
    threshold = choose_threshold(np.array([0.5]), nonfaces, 0.01)
    assert not (nonfaces.astype(np.float32) >= np.float32(threshold)).any()


def test_nonfaces_of_probability_one_are_told_apart_from_none() -> None:
    with pytest.raises(ExportError, match="no threshold keeps them out"):
        choose_threshold(np.ones(3), np.ones(200), 0.01)


def test_a_share_of_less_than_one_nonface_is_refused_with_the_number_needed() -> None:
    require_nonfaces(100, 0.01)
    with pytest.raises(ExportError, match=r"takes 100 held-out non-faces or more to tell; .* 99"):
        require_nonfaces(99, 0.01)


def test_rates_by_false_positives_are_those_of_the_other_half() -> None:
    nonfaces = np.tile([0.1, 0.7], 400) + np.linspace(0, 0.01, 800)
    found = measure_detection(_logits([0.9] * 10), _logits(nonfaces.tolist()), 0.01)
    # The threshold near 0.7 stops all even ones, that near 0.1 none of the odd ones.
    assert found.figures["false_positive_rate"] == 0.5
    assert 0.7 < found.threshold < 0.9


def test_each_image_is_judged_by_the_threshold_of_the_other_half() -> None:
    # Even images want a threshold near 0.2, odd ones near 0.8.
    faces = np.tile([0.3, 0.9], 400)
    nonfaces = np.tile([0.1, 0.7], 400)
    found = measure_detection(_logits(faces.tolist()), _logits(nonfaces.tolist()))
    assert not found.recognised[0::2].any()
    assert found.recognised[1::2].all()
    assert found.figures["true_positive_rate"] == 0.5
    assert found.figures["false_positive_rate"] == 0.5
    assert found.figures["accuracy"] == 0.5


def test_figures_of_detection_follow_their_formulas() -> None:
    rng = np.random.default_rng(0)
    faces = rng.normal(2.0, 2.0, 301).astype(np.float32)
    nonfaces = rng.normal(-2.0, 2.0, 250).astype(np.float32)
    figures = measure_detection(faces, nonfaces).figures
    pairs = [(f > n) + (f == n) / 2 for f in faces for n in nonfaces]
    assert figures["auc"] == pytest.approx(np.mean(pairs))
    third = sorted(nonfaces, reverse=True)[2]  # 1 % of 250 allows two false positives
    rate = np.mean([f > third for f in faces])
    assert figures["true_positive_rate_at_1_percent_false_positives"] == pytest.approx(rate)
    right = figures["true_positive_rate"] * 301 + (1 - figures["false_positive_rate"]) * 250
    assert figures["accuracy"] == pytest.approx(right / 551)


def test_extreme_logits_do_not_overflow() -> None:
    far = np.array([1e4, 2e4], np.float32)
    assert measure_detection(far, -far).figures["accuracy"] == 1.0


def test_figures_of_reconstruction_follow_their_formulas(images: UInt8) -> None:
    rows = np.arange(len(images))[::-1]
    figures = measure_reconstruction(images, rows, lambda batch: images[batch] // 2)
    error = np.abs(images.astype(float) - images // 2) / 255
    decibels = -10 * np.log10(np.square(error).mean(axis=(1, 2, 3)))
    assert figures["l1"] == pytest.approx(error.mean(), rel=1e-5)
    assert figures["psnr"] == pytest.approx(decibels.mean(), rel=1e-5)
    assert 0 < figures["ssim"] < 1


def test_a_perfect_reconstruction_has_finite_figures(images: UInt8) -> None:
    figures = measure_reconstruction(images, np.arange(3), lambda batch: images[batch])
    assert figures["l1"] == 0
    assert figures["psnr"] == 100
    assert figures["ssim"] == pytest.approx(1, abs=1e-5)
