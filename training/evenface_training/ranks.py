"""Several processes that make one run: who does what, and what they tell each other.

Each process is a rank. Every rank draws the same order of the same epoch and takes its part of each
batch; gradients and batch-norm statistics are averaged over ranks. A run of one process is rank 0
of one, and tells nobody anything.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from evenface_core.errors import TrainingError
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, distributed

from evenface_training.sampler import EpochPlan

Float64 = NDArray[np.float64]


class Ranks:
    """This process among all of a run.

    Args:
        fabric: Of `device.open_device`.

    Attributes:
        index: 0 to `size` - 1. Rank 0 alone validates and writes.
        size: Number of processes.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.index, self.size = int(fabric.global_rank), int(fabric.world_size)
        # On the host, so that asking whether to stop does not wait for a GPU.
        self._group = distributed.new_group(backend="gloo") if self.size > 1 else None
        self._asked: tuple[Any, Tensor] | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0."""
        return self.index == 0

    def part(self, count: int) -> slice:
        """This rank's part of so many items, in the order of the ranks."""
        return slice(count * self.index // self.size, count * (self.index + 1) // self.size)

    def require_even(self, batch_size: int, parts: int) -> None:
        """Refuse batches of which the ranks would not have equal shares.

        Args:
            batch_size: Images of a step.
            parts: 2 if half of them are non-faces, else 1.

        Raises:
            TrainingError: Names the number.
        """
        if self.size > 1 and batch_size % (parts * self.size):
            raise TrainingError(
                f"optimizer.batch_size {batch_size} is no multiple of {parts * self.size}, so "
                f"{self.size} processes cannot have equal parts of it"
            )

    def plan(self, plan: EpochPlan) -> EpochPlan:
        """This rank's part of each step of an epoch."""
        faces, nonfaces = (self.part(part.shape[1]) for part in (plan.faces, plan.nonfaces))
        return EpochPlan(plan.faces[:, faces], plan.nonfaces[:, nonfaces])

    def rows(self, plan: EpochPlan) -> Tensor:
        """Which of a whole step's images are this rank's, int64."""
        faces, others = plan.faces.shape[1], plan.nonfaces.shape[1]
        rows = torch.arange(faces + others)
        return torch.cat([rows[:faces][self.part(faces)], rows[faces:][self.part(others)]])

    def mean(self, values: Tensor) -> Tensor:
        """The mean over ranks, on the CPU."""
        found = values.detach().double().cpu()
        if self.size > 1:
            distributed.all_reduce(found, group=self._group)
        return found / self.size

    def sum(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sum over ranks."""
        found = torch.from_numpy(counts.copy())
        distributed.all_reduce(found, group=self._group)
        return found.numpy()

    def extremes(self, low: Float64, high: Float64) -> tuple[Float64, Float64]:
        """The least and the greatest over ranks, element by element."""
        found = torch.from_numpy(np.stack([-low, high]))
        distributed.all_reduce(found, distributed.ReduceOp.MAX, group=self._group)
        return -found[0].numpy(), found[1].numpy()

    def join(self, values: Float64, count: int) -> Float64:
        """All ranks' values one after the other.

        Args:
            values: float64 [n], of `part(count)`.
            count: How many there are in all.
        """
        whole = torch.zeros(count, dtype=torch.float64)
        whole[self.part(count)] = torch.from_numpy(values)
        distributed.all_reduce(whole, group=self._group)
        return whole.numpy()

    def stop(self, *, wanted: bool) -> bool:
        """Whether any rank wanted to stop; all get the same answer.

        Of several ranks the answer is that to the question before, so that none waits for it.
        """
        if self.size == 1:
            return wanted
        answer = False
        if self._asked is not None:
            work, flag = self._asked
            work.wait()
            answer = bool(flag.item())
        flag = torch.tensor(int(wanted))
        self._asked = (distributed.all_reduce(flag, group=self._group, async_op=True), flag)
        return answer

    def first(self, work: Callable[[], None]) -> None:
        """Let rank 0 do something, and the others wait until it is done."""
        if self.is_first:
            work()
        if self.size > 1:
            distributed.barrier(group=self._group)


@contextmanager
def together() -> Iterator[None]:
    """Say in one line that another process has gone, where that is what ends this one.

    Raises:
        TrainingError: It has.
    """
    try:
        yield
    except RuntimeError as error:
        lost = any(word in str(error) for word in ("gloo", "NCCL", "TCPStore"))
        if not (lost and distributed.is_initialized()):
            raise
        raise TrainingError(
            "another process of this run has ended; its own message says why. "
            "If a checkpoint was written, go on with --resume"
        ) from error
    finally:
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()
