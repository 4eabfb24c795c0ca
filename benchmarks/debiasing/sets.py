"""What is trained on and what is tested on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from evenface_core.errors import DataError
from evenface_training.config import TrainingConfig
from evenface_training.data import TrainingData, load_data
from evenface_training.degradation import degrade
from evenface_training.synthetic import (
    Frequencies,
    SyntheticConfig,
    render_faces,
    render_nonfaces,
)
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]

_TEST_SEED = 1_000_003  # of no training set
_FACTORS = ("tone_group", "pose", "light", "glasses", "hat")
_PORTRAIT_GROUPS = ("tone", "gender")


@dataclass(frozen=True)
class HeldOut:
    """Images that no run has learned from.

    Attributes:
        faces: uint8 [F, S, S, 3].
        nonfaces: uint8 [M, S, S, 3].
        groups: By name, bool [F].
    """

    faces: UInt8 = field(repr=False)
    nonfaces: UInt8 = field(repr=False)
    groups: Mapping[str, Bools] = field(repr=False)

    def degraded(self) -> "HeldOut":
        """The copy with little light, low contrast, noise and shifted crops."""
        return replace(self, faces=degrade(self.faces), nonfaces=degrade(self.nonfaces))


@dataclass(frozen=True)
class Sizes:
    """How much there is of everything.

    Attributes:
        size: Height and width of the images.
        train: Training faces, and as many non-faces; fewer where there are fewer.
        test: Drawn test faces.
        nonfaces: Drawn test non-faces; a hundredth of them sets the threshold of 1 %.
    """

    size: int
    train: int
    test: int
    nonfaces: int


def data_section(
    name: str, sizes: Sizes, seed: int, *, even: bool, portraits: Path
) -> dict[str, Any]:
    """The section `data` of a run's configuration.

    Args:
        name: `synthetic` or `portraits`.
        sizes: Of drawn data.
        seed: Of drawn training data.
        even: Draw every value of every factor equally often.
        portraits: Folder of the portraits.

    Raises:
        DataError: Portraits cannot be made even.
    """
    if name == "portraits":
        if even:
            raise DataError("portraits have the frequencies that they have; leave out variant even")
        return {
            "faces": portraits / "face",
            "nonfaces": portraits / "nonface",
            "labels": portraits / "labels.csv",
            "group_columns": _PORTRAIT_GROUPS,
            # Some non-faces are cut from the portrait of the same number.
            "group_key": {"pattern": r"^p?(\d{6})\.jpg$"},
            "validation_fraction": 0.3,
        }
    source: dict[str, Any] = {
        "kind": "synthetic",
        "faces": sizes.train,
        "nonfaces": sizes.train,
        "seed": seed,
    }
    if even:
        source["frequencies"] = even_frequencies().model_dump()
    return {"source": source, "group_columns": _FACTORS, "validation_fraction": 0.05}


@dataclass(frozen=True)
class TrainSet:
    """What a run learns from.

    Attributes:
        data: The images.
        groups: By name, bool [T]: which of the training faces, as they are in the world, are in it.
        weights: float64 [T], how often each of these is drawn, summing to 1.
    """

    data: TrainingData
    groups: Mapping[str, Bools] = field(repr=False)
    weights: NDArray[np.float64] = field(repr=False)


def load_train(config: TrainingConfig, faces: str, count: int) -> TrainSet:
    """Load what a run learns from.

    Args:
        config: The run's.
        faces: As in `Variant`.
        count: So many faces at most, and as many non-faces, others for each seed.
    """
    data = _part(load_data(config), count, config.seed)
    rows = data.faces.train
    groups = data.groups(rows)
    if faces != "known":
        return TrainSet(data, groups, np.full(len(rows), 1 / len(rows)))
    weights = label_weights(data)
    drawn = np.random.default_rng(config.seed).choice(rows, len(rows), p=weights)
    return TrainSet(replace(data, faces=replace(data.faces, train=drawn)), groups, weights)


def _part(data: TrainingData, count: int, seed: int) -> TrainingData:
    rng = np.random.default_rng(seed)
    assert data.nonfaces is not None  # noqa: S101 - all variants classify
    faces, nonfaces = (
        replace(part, train=rng.permutation(part.train)[:count])
        for part in (data.faces, data.nonfaces)
    )
    return replace(data, faces=faces, nonfaces=nonfaces)


def label_weights(data: TrainingData) -> NDArray[np.float64]:
    """Weigh training faces by the groups they are in; float64 [T], summing to 1.

    Each label column gives every one of its groups the same weight; a face has the mean of its
    weights over the columns (one where nothing is known of it counts it as an average face).
    """
    rows = data.faces.train
    members = data.groups(rows)
    total = np.zeros(len(rows))
    for column in data.group_columns:
        groups = [m for name, m in members.items() if name.startswith(f"{column}=")]
        weights = np.full(len(rows), 1 / len(rows))
        labelled = np.logical_or.reduce(groups)
        for group in groups:
            weights[group] = labelled.mean() / (len(groups) * group.sum())
        total += weights
    shares: NDArray[np.float64] = total / total.sum()
    return shares


def load_test(name: str, sizes: Sizes, config: TrainingConfig) -> HeldOut:
    """Draw or pick the test set.

    Args:
        name: As in `data_section`.
        sizes: Of drawn data.
        config: Of a run; says which portraits are held out.
    """
    if name == "portraits":
        train = load_data(config)
        assert train.nonfaces is not None  # noqa: S101 - all variants classify
        held = train.faces.validation
        others = train.nonfaces.images[train.nonfaces.validation]
        return HeldOut(train.faces.images[held], others, train.groups(held))
    return drawn_test(sizes)


def drawn_test(sizes: Sizes) -> HeldOut:
    """Draw faces in as many blocks as there are factors, and non-faces.

    In each block one factor has all its values equally often, and the others have the frequencies
    of training; its groups are measured there alone, so that each shows what one factor does. (With
    all factors even at once, nearly every face would be rare in several.)
    """
    each = sizes.test // len(_FACTORS)
    blocks = []
    for number, factor in enumerate(_FACTORS):
        name = "tone" if factor == "tone_group" else factor
        shares = {name: getattr(even_frequencies(), name)}
        config = SyntheticConfig(
            seed=_TEST_SEED, size=sizes.size, frequencies=Frequencies.model_validate(shares)
        )
        blocks.append((factor, render_faces(config, number * each, each)))
    groups = {}
    for number, (factor, block) in enumerate(blocks):
        for value in sorted(set(block.labels[factor].tolist())):
            members = np.zeros((len(blocks), each), bool)
            members[number] = block.labels[factor] == value
            groups[f"{factor}={value}"] = members.ravel()
    config = SyntheticConfig(seed=_TEST_SEED, size=sizes.size)
    return HeldOut(
        np.concatenate([block.images for _, block in blocks]),
        render_nonfaces(config, 0, sizes.nonfaces).images,
        groups,
    )


def even_frequencies() -> Frequencies:
    """Every value of every factor equally often; tones so that their three groups are."""
    shares: dict[str, Any] = {
        factor: dict.fromkeys(values, 1 / len(values))
        for factor, values in Frequencies().model_dump().items()
    }
    shares["tone"] = {1: 1 / 9, 2: 1 / 9, 3: 1 / 9, 4: 1 / 12, 5: 1 / 12, 6: 1 / 12, 7: 1 / 12}
    shares["tone"] |= {8: 1 / 9, 9: 1 / 9, 10: 1 / 9}
    return Frequencies.model_validate(shares)
