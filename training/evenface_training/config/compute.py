"""The section `compute`: how a run uses its device."""

from typing import Literal

from pydantic import Field

from evenface_training.config.section import Section


class ComputeConfig(Section):
    """What a run keeps on its device, and whether it compiles its step.

    Attributes:
        images: Where the training images lie: all of them in the memory of the `device`, or on the
            `host`, from where the next batches are fetched while one is computed. `auto` takes a
            GPU's memory if they fit into `memory_share` of it, else the host.
        memory_share: Largest share of a device's free memory that images may take.
        compile: Make one program of the step with torch.compile, on CUDA with CUDA graphs. `auto`
            does so on CUDA where there is Triton; on a CPU it takes minutes and gains little.
    """

    images: Literal["auto", "device", "host"] = "auto"
    memory_share: float = Field(default=0.5, gt=0, le=1)
    compile: Literal["auto", "on", "off"] = "auto"
