from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from evenface_core.manifest import FunctionName
from evenface_export.graphs import Graph, export_graphs
from evenface_export.sessions import UInt8
from evenface_training.config import ModelConfig
from evenface_training.models import FaceModel, build_model
from torch import nn

_TINY = ModelConfig(kind="dbvae", image_size=32, latent_size=8, n_filters=4, hidden_size=16)


def _make_model(config: ModelConfig = _TINY) -> FaceModel:
    """A tiny model whose batch norms do something, as those of a trained one do."""
    model = build_model(config, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean):
                assert tensor is not None
                tensor.normal_(generator=generator)
            layer.weight.data *= 4  # so that outputs follow the images, and an error in them shows
            assert layer.running_var is not None
            layer.running_var.uniform_(0.5, 2.0, generator=generator)
    return model


@pytest.fixture
def make_model() -> Callable[[ModelConfig], FaceModel]:
    return _make_model


@pytest.fixture
def model() -> FaceModel:
    return _make_model()


@pytest.fixture
def images() -> UInt8:
    return np.random.default_rng(2).integers(0, 256, (32, 32, 32, 3), np.uint8)


@pytest.fixture(scope="session")
def graphs() -> Mapping[FunctionName, Graph]:
    return export_graphs(_make_model())
