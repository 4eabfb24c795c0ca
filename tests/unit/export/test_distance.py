"""The Fréchet distance of samples: what it is small for, and networks from files."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from evenface_core.errors import ExportError
from evenface_export.distance import FileFeatures, RandomFeatures
from onnx import TensorProto, helper
from PIL import Image, ImageFilter
from support.faces import draw_face
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance


def faces(seed: int, blur: float = 0.0) -> Tensor:
    rng = np.random.default_rng(seed)
    drawn = (Image.fromarray(draw_face(rng, rare=False)) for _ in range(60))
    images = [np.asarray(image.filter(ImageFilter.GaussianBlur(blur))) for image in drawn]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255


def distance(real: Tensor, other: Tensor) -> float:
    found = FrechetInceptionDistance(RandomFeatures(3), input_img_size=(3, 32, 32))
    found.update(real, real=True)
    found.update(other, real=False)
    return float(found.compute())


def test_other_faces_are_near_and_blurred_ones_the_farther_the_more_they_are_blurred() -> None:
    same, others, soft, softer = (
        distance(faces(0), faces(seed, blur)) for seed, blur in ((0, 0), (1, 0), (1, 2), (1, 4))
    )
    assert same == pytest.approx(0, abs=1e-3)
    assert same < others < soft < softer


def test_random_features_are_the_same_everywhere() -> None:
    features = RandomFeatures(1)
    (first, *_) = features.layers.parameters()
    row = first[0, 0, 0]
    expected = [0.0169454, 0.0044009, -0.3293529, -0.0375183, 0.1538315]
    np.testing.assert_allclose(row.detach().numpy(), expected, atol=1e-6)
    assert features(torch.rand(2, 1, 30, 30)).shape == (2, 176)


def network(path: Path, shape: list[int | str | None], outputs: int = 1) -> Path:
    """Write a network that gives each image's mean colour."""
    nodes = [
        helper.make_node("ReduceMean", ["pixels", "axes"], [f"mean{number}"], keepdims=0)
        for number in range(outputs)
    ]
    floats = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        nodes,
        "mean",
        [floats],
        [
            helper.make_tensor_value_info(f"mean{number}", TensorProto.FLOAT, ["n", None])
            for number in range(outputs)
        ],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def test_a_network_from_a_file_sees_images_of_its_own_form(tmp_path: Path) -> None:
    images = faces(0)[:4]
    large = FileFeatures(network(tmp_path / "rgb.onnx", ["n", 3, 64, 64]))
    torch.testing.assert_close(large(images), images.mean(dim=(2, 3)), atol=2e-3, rtol=0)
    grey = FileFeatures(network(tmp_path / "grey.onnx", ["n", 1, "h", "w"]))
    torch.testing.assert_close(grey(images), images.mean(dim=(1, 2, 3))[:, None])
    coloured = FileFeatures(network(tmp_path / "any.onnx", ["n", 3, "h", "w"]))(images[:, :1])
    torch.testing.assert_close(coloured, images[:, :1].mean(dim=(2, 3)).expand(-1, 3))


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    for path, problem in (
        (tmp_path / "gone.onnx", "No such file"),
        (tmp_path / "noise.onnx", "ONNX Runtime refuses it"),
        (network(tmp_path / "four.onnx", ["n", 4, 8, 8]), "one input .N, C, H, W., C 1 or 3"),
        (network(tmp_path / "two.onnx", ["n", 3, 8, 8], outputs=2), "and one output"),
    ):
        with pytest.raises(ExportError, match=problem):
            FileFeatures(path)
