import numpy as np
import torch
from evenface_export.modules import Decode, build_modules
from evenface_export.sessions import UInt8
from evenface_training.evaluate import to_images, to_tensor
from evenface_training.models import FaceModel
from torch import nn


@torch.no_grad()
def test_folded_modules_compute_what_the_model_does(model: FaceModel, images: UInt8) -> None:
    expected = model.encode(to_tensor(images, torch.device("cpu")))
    modules = build_modules(model)
    mean, log_variance, judged = modules["encode"](torch.from_numpy(images))
    torch.testing.assert_close(mean, expected.mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(log_variance, expected.log_variance, rtol=1e-4, atol=1e-5)
    logits = modules["classify"](torch.from_numpy(images))
    for found in (logits, judged):
        torch.testing.assert_close(found, expected.logit, rtol=1e-4, atol=1e-5)
    decoded = modules["decode"](mean).numpy().astype(int)
    assert np.abs(decoded - to_images(model.decode(mean))).max() <= 1


def test_folding_leaves_the_model_as_it_was(model: FaceModel) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modules = build_modules(model)
    for module in modules.values():
        for parameter in module.parameters():
            parameter.data.zero_()
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_decoded_images_are_rounded_and_clipped_to_256_levels() -> None:
    linear = nn.Linear(1, 4)
    linear.bias.data = torch.tensor([-0.5, 100.4 / 255, 100.6 / 255, 1.5])
    images = (
        Decode(nn.Sequential(linear, nn.Unflatten(1, (1, 2, 2))))(torch.zeros(1, 1))
        .detach()
        .numpy()
    )
    assert images.dtype == np.uint8
    assert images.shape == (1, 2, 2, 1)
    assert images.ravel().tolist() == [0, 100, 101, 255]
