"""The batches of an epoch, as uint8 on the device: drawn there, or fetched ahead by a thread."""

import os
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol

import numpy as np
import torch
from evenface_core.errors import TrainingError
from torch import Tensor
from tqdm import tqdm

from evenface_training.config import ComputeConfig
from evenface_training.data import SplitImages, TrainingData
from evenface_training.sampler import EpochPlan

_AHEAD = 3  # batches fetched before they are asked for
_CHUNK = 4096  # images moved to the device at a time
_GIB = 2**30


class Batches(Protocol):
    """Where batches come from."""

    def of(self, plan: EpochPlan, begun: int) -> Generator[Tensor, None, None]:
        """Give each step's images, uint8 [N, S, S, C] on the device, faces first.

        Args:
            plan: The epoch's order.
            begun: Steps to leave out at its beginning.
        """


def open_batches(data: TrainingData, device: torch.device, config: ComputeConfig) -> Batches:
    """Choose where the training images lie.

    Raises:
        TrainingError: They have to lie on the device and do not fit.
    """
    parts = [data.faces] if data.nonfaces is None else [data.faces, data.nonfaces]
    needed = sum(len(part.train) * part.images[0].nbytes for part in parts)
    wanted = config.images
    if wanted == "auto":
        fits = device.type != "cpu" and needed <= config.memory_share * _free_memory(device)
        wanted = "device" if fits else "host"
    if wanted == "host":
        return HostBatches(parts, device)
    if needed > (limit := config.memory_share * _free_memory(device)):
        raise TrainingError(
            f"compute.images device: the images take {needed / _GIB:.1f} GiB, but "
            f"compute.memory_share {config.memory_share} of the free memory is {limit / _GIB:.1f}; "
            "take host or auto"
        )
    return DeviceBatches(parts, device)


class DeviceBatches:
    """All training images in the device's memory, so that a step moves none.

    Args:
        parts: Faces, and non-faces if there are any.
        device: Where to keep them.
    """

    def __init__(self, parts: list[SplitImages], device: torch.device) -> None:
        count = sum(len(part.train) for part in parts)
        self._faces = len(parts[0].train)
        self._images = torch.empty((count, *parts[0].images.shape[1:]), dtype=torch.uint8)
        self._images = self._images.to(device)
        with tqdm(total=count, desc=f"to {device}", unit="image", disable=None) as bar:
            end = 0
            for part in parts:
                for start in range(0, len(part.train), _CHUNK):
                    rows = part.train[start : start + _CHUNK]
                    begin, end = end, end + len(rows)
                    self._images[begin:end] = torch.from_numpy(part.images[rows])
                    bar.update(len(rows))

    def of(self, plan: EpochPlan, begun: int) -> Generator[Tensor, None, None]:
        """See `Batches`."""
        rows = torch.cat([plan.faces, plan.nonfaces + self._faces], dim=1).to(self._images.device)
        for position in range(begun, plan.steps):
            yield self._images.index_select(0, rows[position])


class HostBatches:
    """Training images in files or host memory; a thread fetches the batches that come next.

    Args:
        parts: Faces, and non-faces if there are any.
        device: Where to move each batch.
    """

    def __init__(self, parts: list[SplitImages], device: torch.device) -> None:
        self._parts, self._device = parts, device

    def of(self, plan: EpochPlan, begun: int) -> Generator[Tensor, None, None]:
        """See `Batches`."""
        steps = iter(range(begun, plan.steps))
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
            coming: deque[Future[Tensor]] = deque(
                thread.submit(self._fetch, plan, position) for position in islice(steps, _AHEAD)
            )
            while coming:
                images = coming.popleft().result()
                coming.extend(
                    thread.submit(self._fetch, plan, position) for position in islice(steps, 1)
                )
                yield images.to(self._device, non_blocking=True)

    def _fetch(self, plan: EpochPlan, position: int) -> Tensor:
        chosen = (plan.faces[position].numpy(), plan.nonfaces[position].numpy())
        taken = [
            part.images[part.train[rows]] for part, rows in zip(self._parts, chosen, strict=False)
        ]
        images = torch.from_numpy(np.concatenate(taken))
        return images.pin_memory() if self._device.type == "cuda" else images


def _free_memory(device: torch.device) -> int:
    """Bytes; of a CPU all that is built in, for what else is there may well be given back."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
