"""Fixtures for tests of all parts."""

import os
from pathlib import Path

import pytest
from hypothesis import settings
from support.bundles import write_tiny_bundle

# A machine that is busy is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# For PyTorch, here and in programs under test: to share such small work among threads costs more
# than it saves, and many times more where other processes want the cores too.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory with one tiny bundle, faces/1; not to be changed."""
    root = tmp_path_factory.mktemp("models")
    write_tiny_bundle(root)
    return root
