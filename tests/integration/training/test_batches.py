"""Batches from the device and from the host: the same images, ahead of time, within memory."""

import threading
from collections.abc import Callable
from contextlib import closing

import numpy as np
import pytest
import torch
from evenface_core.errors import TrainingError
from evenface_training.batches import DeviceBatches, HostBatches, open_batches
from evenface_training.config import ComputeConfig, TrainingConfig
from evenface_training.data import TrainingData, load_data
from evenface_training.sampler import DrawWeights, EpochPlan, plan_epoch

ConfigMaker = Callable[..., TrainingConfig]
CPU = torch.device("cpu")


@pytest.fixture
def data(make_config: ConfigMaker) -> TrainingData:
    return load_data(make_config())


def plan_of(data: TrainingData) -> EpochPlan:
    assert data.nonfaces is not None
    counts = len(data.faces.train), len(data.nonfaces.train)
    return plan_epoch(*counts, 16, DrawWeights(), torch.Generator().manual_seed(1))


@pytest.mark.parametrize("where", ["device", "host"])
def test_each_step_has_the_images_of_its_plan_faces_first(data: TrainingData, where: str) -> None:
    plan = plan_of(data)
    batches = open_batches(data, CPU, ComputeConfig.model_validate({"images": where}))
    assert isinstance(batches, DeviceBatches if where == "device" else HostBatches)
    assert data.nonfaces is not None
    found = list(batches.of(plan, 1))
    assert len(found) == plan.steps - 1
    for position, batch in enumerate(found, 1):
        faces = data.faces.images[data.faces.train[plan.faces[position].numpy()]]
        others = data.nonfaces.images[data.nonfaces.train[plan.nonfaces[position].numpy()]]
        assert np.array_equal(batch.numpy(), np.concatenate([faces, others]))


def test_batches_that_nobody_waits_for_are_given_up(data: TrainingData) -> None:
    with closing(open_batches(data, CPU, ComputeConfig()).of(plan_of(data), 0)) as batches:
        next(batches)
    assert not [name for name in _threads() if name.startswith("batches")]


def test_a_batch_that_cannot_be_read_stops_the_run(data: TrainingData) -> None:
    plan = plan_of(data)
    plan.faces[1, 0] = 10**6
    with pytest.raises(IndexError, match="1000000"):
        list(open_batches(data, CPU, ComputeConfig()).of(plan, 0))


def test_images_that_do_not_fit_their_share_of_memory_are_refused(data: TrainingData) -> None:
    config = ComputeConfig(images="device", memory_share=1e-9)
    with pytest.raises(TrainingError, match=r"images take 0\.0 GiB, but compute\.memory_share"):
        open_batches(data, CPU, config)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_keeps_images_that_fit_and_fetches_those_that_do_not(data: TrainingData) -> None:
    gpu, plan = torch.device("cuda"), plan_of(data)
    resident = open_batches(data, gpu, ComputeConfig())
    fetched = open_batches(data, gpu, ComputeConfig(memory_share=1e-9))
    assert isinstance(resident, DeviceBatches)
    assert isinstance(fetched, HostBatches)
    for here, there in zip(resident.of(plan, 0), fetched.of(plan, 0), strict=True):
        assert torch.equal(here, there)
        assert here.device.type == "cuda"


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate()]
