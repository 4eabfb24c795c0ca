"""What is to be served: values that a supervisor and its workers exchange. Transport-free."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

Traffic = Mapping[str, Mapping[str, int]]  # by model and version, the weight


class ModelKey(NamedTuple):
    """A version of a model."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class BundleRef:
    """A bundle that is to be opened, or is open.

    Attributes:
        name: Of the model.
        version: Of the model.
        digest: SHA-256 of its manifest, which lists those of all its files.
        load: A number of its own for each time that a bundle is loaded, so that even the same
            content can take the place of itself.
        path: The folder to read it from.
        source: Its folder in the model directory, for messages.
    """

    name: str
    version: str
    digest: str
    load: int
    path: str
    source: str

    @property
    def key(self) -> ModelKey:
        """Which version of which model it is."""
        return ModelKey(self.name, self.version)


@dataclass(frozen=True)
class Plan:
    """All that is to be served.

    Attributes:
        number: Grows from plan to plan.
        bundles: One for each version of each model.
        default: Name of the model for requests that name none; None where they must.
        traffic: Weights for requests that name no version; the newest gets them elsewhere.
    """

    number: int
    bundles: tuple[BundleRef, ...]
    default: str | None
    traffic: Traffic

    def is_as(self, other: "Plan") -> bool:
        """Whether both say the same, whatever their numbers."""
        return replace(self, number=other.number) == other

    def to_json(self) -> dict[str, Any]:
        """Return it as what `json.dumps` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Plan":
        """Return what `to_json` was called on."""
        bundles = tuple(BundleRef(**bundle) for bundle in values["bundles"])
        return cls(values["number"], bundles, values["default"], values["traffic"])
