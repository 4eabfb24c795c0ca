"""Random numbers for the images of a step, the same ones however many processes share the step."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draws:
    """Numbers for the whole step come from one generator; each process keeps those of its images.

    Attributes:
        generator: On the CPU, so that a seed means the same on every device.
        total: Images of the whole step.
        rows: int64 [N]; which of them are here.
    """

    generator: torch.Generator
    total: int
    rows: Tensor

    @classmethod
    def of_all(cls, generator: torch.Generator, total: int) -> "Draws":
        """For a process that has all images."""
        return cls(generator, total, torch.arange(total))

    def uniform(self, parts: int) -> Tensor:
        """Numbers [parts, N], uniform in 0 to 1."""
        return torch.rand(parts, self.total, generator=self.generator)[:, self.rows]

    def normal(self, images: Tensor) -> Tensor:
        """Standard normal numbers like images [N, ...], where those are.

        On a GPU, drawing on the CPU and moving would cost more than the step.
        """
        seed = int(torch.randint(2**62, (), generator=self.generator))
        local = torch.Generator(images.device).manual_seed(seed)
        shape = (self.total, *images.shape[1:])
        noise = torch.randn(shape, generator=local, device=images.device)
        whole = len(self.rows) == self.total
        return noise if whole else noise[self.rows.to(images.device)]
