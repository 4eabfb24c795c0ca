"""The section `compute`: how a run uses its device."""

from typing import Any, Literal

from pydantic import Field, field_validator

from evenface_training.config.section import Section


class ComputeConfig(Section):
    """What a run keeps on its device, and whether it compiles its step.

    Attributes:
        images: Where the training images lie: all of them in the memory of the `device`, or on the
            `host`, from where the next batches are fetched while one is computed. `auto` takes a
            GPU's memory if they fit into `memory_share` of it, else the host.
        memory_share: Largest share of a device's free memory that images may take.
        compile: Make one program of the step with torch.compile, on CUDA with CUDA graphs. `auto`
            does so on CUDA where there is Triton; on a CPU nothing came of it
            (docs/performance-training.md).
    """

    images: Literal["auto", "device", "host"] = "auto"
    memory_share: float = Field(default=0.5, gt=0, le=1)
    compile: Literal["auto", "on", "off"] = "auto"

    @field_validator("compile", mode="before")
    @classmethod
    def _read_as_yaml_does(cls, value: Any) -> Any:  # noqa: ANN401 - whatever stands in a file
        """To YAML, on and off are true and false."""
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value
