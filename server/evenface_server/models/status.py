"""How things stand with the models, for operators. Transport-free."""

from dataclasses import dataclass
from enum import Enum

from evenface_server.models.plan import ModelKey, Traffic


class State(Enum):
    """How things stand with a bundle."""

    LOADING = "loading"
    SERVING = "serving"
    DRAINING = "draining"
    REFUSED = "refused"
    UNLOADED = "unloaded"


@dataclass(frozen=True)
class ModelStatus:
    """How things stand with a bundle.

    Attributes:
        key: Version and model.
        state: How it stands.
        reason: Why, where that is not plain; else empty.
        digest: SHA-256 of its manifest; empty where it is not open.
    """

    key: ModelKey
    state: State
    reason: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Status:
    """How things stand.

    Attributes:
        plan: Number of the plan that is served.
        default: The default model; None where there is none.
        traffic: Weights that operators have set.
        models: All bundles, by name and version; there are two of a version while one replaces
            the other, and where the one that would cannot.
        workers: How many serve the plan.
    """

    plan: int
    default: str | None
    traffic: Traffic
    models: tuple[ModelStatus, ...]
    workers: int
