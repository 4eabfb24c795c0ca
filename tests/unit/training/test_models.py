import pytest
import torch
from evenface_training.averaging import AveragedModel
from evenface_training.config import Kind, ModelConfig, OptimizerConfig
from evenface_training.models import FaceModel, build_model
from evenface_training.schedule import kl_share, learning_rate


def _config(kind: Kind = "dbvae", **sizes: int) -> ModelConfig:
    small = {"image_size": 32, "latent_size": 5, "n_filters": 2, "hidden_size": 8}
    return ModelConfig.model_validate({"kind": kind, **small, **sizes})


def _first_weight(model: FaceModel) -> torch.Tensor:
    return model.get_parameter("encoder.0.weight")


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (32, 3), (64, 3)])
def test_a_dbvae_gives_all_parts_in_every_size(size: int, channels: int) -> None:
    model = build_model(_config(image_size=size, channels=channels), seed=0)
    output = model(torch.rand(4, channels, size, size), torch.zeros(2, 5))
    assert output.logit.shape == (4,)
    assert output.mean.shape == output.log_variance.shape == (4, 5)
    assert output.reconstruction.shape == (2, channels, size, size)
    assert 0 <= output.reconstruction.min() <= output.reconstruction.max() <= 1


def test_a_cnn_has_a_logit_alone_and_a_vae_has_none() -> None:
    images = torch.rand(2, 3, 32, 32)
    cnn, vae = build_model(_config("cnn"), 0), build_model(_config("vae"), 0)
    assert [part is not None for part in cnn.encode(images)] == [True, False, False]
    assert [part is not None for part in vae.encode(images)] == [False, True, True]
    with pytest.raises(TypeError, match="no decoder"):
        cnn.decode(torch.zeros(1, 5))


def test_noise_is_scaled_by_the_standard_deviation() -> None:
    model = build_model(_config(), seed=0).eval()
    images, eps = torch.rand(1, 3, 32, 32), torch.ones(1, 5)
    output = model(images, eps)
    latent = output.mean + torch.sqrt(torch.exp(output.log_variance))
    torch.testing.assert_close(output.reconstruction, model.decode(latent))


def test_first_weights_depend_on_the_seed_alone_and_leave_torch_as_it_was() -> None:
    before = torch.random.get_rng_state()
    one, same, other = (_first_weight(build_model(_config(), seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_average_moves_by_its_share_and_copies_without_decay() -> None:
    start, moved = build_model(_config(), 1), build_model(_config(), 2)
    first, second = _first_weight(start).clone(), _first_weight(moved)
    slow, off = AveragedModel(start, decay=0.9), AveragedModel(start, decay=0.0)
    start.load_state_dict(moved.state_dict())
    slow.update(step=10_000)
    off.update(step=0)
    torch.testing.assert_close(_first_weight(slow.model), 0.9 * first + 0.1 * second)
    assert torch.equal(_first_weight(off.model), second)


def test_batch_norm_statistics_are_averaged_and_the_average_evaluates() -> None:
    model = build_model(_config(), 1)
    averaged = AveragedModel(model, decay=0.9)
    model.train()(torch.rand(4, 3, 32, 32), torch.zeros(2, 5))
    averaged.update(step=10_000)
    name = "encoder.1.running_mean"
    found, current = averaged.model.state_dict()[name], model.state_dict()[name]
    assert current.abs().sum() > 0
    torch.testing.assert_close(found, 0.1 * current)
    assert not averaged.model.training


def test_the_average_soon_forgets_the_random_first_weights() -> None:
    start, moved = build_model(_config(), 1), build_model(_config(), 2)
    expected = 0.1 * _first_weight(start) + 0.9 * _first_weight(moved)
    averaged = AveragedModel(start, decay=0.999)
    start.load_state_dict(moved.state_dict())
    averaged.update(step=0)
    torch.testing.assert_close(_first_weight(averaged.model), expected)


def test_cosine_schedule_warms_up_and_falls_to_nearly_nothing() -> None:
    config = OptimizerConfig(learning_rate=1.0, schedule="cosine", warmup_steps=4)
    rates = [learning_rate(step, 104, config) for step in range(104)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[54] == pytest.approx(0.5)
    assert rates[103] < 0.001
    assert max(rates) == 1.0


def test_constant_schedule_stays() -> None:
    config = OptimizerConfig(learning_rate=0.3)
    assert {learning_rate(step, 10, config) for step in range(10)} == {0.3}


def test_the_kl_term_s_share_rises_over_its_epochs_and_stays() -> None:
    shares = [kl_share(step, 40, epochs=10, warmup_epochs=2) for step in range(40)]
    assert shares[:9] == pytest.approx([0, 1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8, 6 / 8, 7 / 8, 1])
    assert set(shares[8:]) == {1.0}


def test_without_a_warm_up_the_kl_term_has_its_whole_weight_from_the_first_step() -> None:
    assert {kl_share(step, 40, epochs=10, warmup_epochs=0) for step in range(40)} == {1.0}
