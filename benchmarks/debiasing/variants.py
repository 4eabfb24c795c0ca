"""Ways to train a face classifier that are compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BASE = "cnn"


@dataclass(frozen=True)
class Variant:
    """One way.

    Attributes:
        name: What files and options call it.
        title: What tables call it.
        sections: Sections of the training configuration that differ from the common ones.
        faces: `biased` as the data are; `known` with rare groups drawn more often by their labels;
            `even` with every value of every factor equally often, which only drawn data can have.
    """

    name: str
    title: str
    sections: Mapping[str, Any] = field(repr=False)
    faces: str = "biased"


def _dbvae(**resampling: object) -> dict[str, Any]:
    return {"model": {"kind": "dbvae"}, "resampling": {"enabled": bool(resampling), **resampling}}


_CNN = {"model": {"kind": "cnn"}}
_HARD = {"enabled": True, "rule": "hard"}
_NONFACES = {"nonfaces": "hard"}
_ALL = (
    Variant(BASE, "CNN", _CNN),
    Variant("vae", "DB-VAE without resampling", _dbvae()),
    Variant("lab", "DB-VAE, lab's rule", _dbvae(rule="lab", smoothing=0.001)),
    *(
        Variant(
            f"paper-{alpha}",
            f"DB-VAE, paper's rule, α {alpha}",
            _dbvae(rule="paper", smoothing=alpha),
        )
        for alpha in (0.1, 0.05, 0.01, 0.001)
    ),
    Variant("hard", "DB-VAE, rule hard", _dbvae(rule="hard")),
    Variant("cnn-hard", "CNN, rule hard", _CNN | {"resampling": _HARD}),
    Variant(
        "nonfaces", "DB-VAE, hard non-faces", {"model": {"kind": "dbvae"}, "resampling": _NONFACES}
    ),
    Variant("cnn-nonfaces", "CNN, hard non-faces", _CNN | {"resampling": _NONFACES}),
    Variant("known", "CNN, rare groups drawn by label", _CNN, faces="known"),
    Variant("even", "CNN, data without bias", _CNN, faces="even"),
)
VARIANTS: Mapping[str, Variant] = {variant.name: variant for variant in _ALL}
