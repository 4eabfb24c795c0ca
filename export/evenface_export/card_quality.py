"""The tables of a model card that say how good the model is on held-out images."""

from collections.abc import Mapping

from evenface_export.figures import Figures
from evenface_export.markdown import paragraphs, percent, table

_DETECTION = {
    "accuracy": "Accuracy",
    "true_positive_rate": "True positive rate",
    "false_positive_rate": "False positive rate",
    "true_positive_rate_at_1_percent_false_positives": "True positive rate at 1 % false positives",
    "degraded_true_positive_rate_at_1_percent_false_positives": "The same on a degraded copy",
}


def quality_tables(
    figures: Figures, latent_size: int, origin: Mapping[str, str]
) -> tuple[str, ...]:
    """Write the tables; those of what a model cannot do are empty.

    Args:
        figures: What was measured.
        latent_size: Of the model.
        origin: Of `provenance.describe_origin`.
    """
    quality = figures.quality
    return (
        _detection(figures, origin),
        _reconstruction(quality, latent_size),
        _samples(quality, origin),
        _colours(quality),
    )


def _detection(figures: Figures, origin: Mapping[str, str]) -> str:
    if "accuracy" not in figures.quality:
        return ""
    rows = [(label, percent(figures.quality[key])) for key, label in _DETECTION.items()]
    rows.append(("Area under the ROC curve", f"{figures.quality['auc']:.5f}"))
    return paragraphs(
        table(("Face against non-face", ""), rows),
        f"Decision threshold: probability {figures.threshold:.3f}, {_chosen(origin)}. "
        "For the first three figures, and for the groups, each half of these images is judged by "
        "the threshold that the other half leads to, so that no image has a say in its own case. "
        "The degraded copy has less light and contrast, noise, and crops moved by up to a "
        "sixteenth of their side; 1 % of its own non-faces pass there.",
    )


def _chosen(origin: Mapping[str, str]) -> str:
    """How the decision threshold was chosen."""
    share = origin.get("max_false_positives")
    if share is not None:
        return f"the lowest that at most {100 * float(share):g} % of the held-out non-faces pass"
    return (
        "the nearest to 0.5 of those whose balanced accuracy on the held-out images is within a "
        "standard error of the best"
    )


def _reconstruction(quality: Mapping[str, float], latent_size: int) -> str:
    if "reconstruction_l1" not in quality:
        return ""
    rows = [
        (
            label,
            f"{quality[f'{prefix}_l1']:.4f}",
            f"{quality[f'{prefix}_psnr']:.2f} dB",
            f"{quality[f'{prefix}_ssim']:.3f}",
        )
        for prefix, label in (
            ("reconstruction", "From the latent mean"),
            ("pca", f"PCA, {latent_size} components"),
        )
    ]
    return paragraphs(
        table(("Reconstruction of faces", "L1 (0 to 1)", "PSNR", "SSIM"), rows),
        "PCA is fitted to the training faces: the yardstick of what as many linear numbers keep.",
    )


def _samples(quality: Mapping[str, float], origin: Mapping[str, str]) -> str:
    if "frechet_samples" not in quality:
        return ""
    labels = {"frechet_samples": "Samples", "frechet_training_faces": "As many training faces"}
    network = (
        "the network that was given at export"
        if "features_sha256" in origin
        else "a small network of fixed random weights: compare models of one image size by it, but "
        "not with figures of Inception's features"
    )
    return paragraphs(
        table(
            ("Fréchet distance from held-out faces", ""),
            [(label, f"{quality[key]:.3f}") for key, label in labels.items()],
        ),
        f"Of the features of {network}. Less is better; training faces show what is within reach.",
    )


def _colours(quality: Mapping[str, float]) -> str:
    if "color_l1" not in quality:
        return ""
    labels = {"color_l1": "Painted", "color_grey_l1": "Left grey"}
    rows = [(label, f"{quality[key]:.4f}") for key, label in labels.items()]
    return paragraphs(
        table(("Colours of held-out faces", "L1 (0 to 1)"), rows),
        "Measured when the colorizer was trained, on the luminance of its own run's held-out "
        "images, not on decoded ones. Colours are guesses: a grey image does not tell them.",
    )
