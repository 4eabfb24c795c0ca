"""What rules make of rare groups' share: `python -m benchmarks.debiasing.shares`.

Trains a debiasing VAE without resampling on drawn faces, whose rare groups are known, and weights
the training faces by every rule and by what was tried beside them, all tempered to the same
effective sample size. No model is told the groups.
"""

import argparse
import contextlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from evenface_core.cli import guarded
from evenface_core.config import parse
from evenface_core.errors import DataError
from evenface_core.pictures import grid, save_png
from evenface_core.resampling import effective_sample_size, weigh
from evenface_core.weights import weights_of
from evenface_training.checkpoint import load_model
from evenface_training.config import TrainingConfig
from evenface_training.data import TrainingData, load_data
from evenface_training.device import open_device
from evenface_training.evaluate import Encodings, encode_all
from evenface_training.loop import Trainer
from evenface_training.run_folder import RunFolder
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from benchmarks.debiasing.candidates import CANDIDATES, whitened

mpl.use("Agg")
import matplotlib.pyplot as plt

Float64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

_ROOT = Path(__file__).parents[2]
_CACHE = Path(".cache/bench/debiasing/images")
_SHOWN = 48
_RARE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "dark tones": ("tone_group", ("dark",)),
    "strong pose": ("pose", ("strong",)),
    "dim light": ("light", ("dim",)),
    "hats": ("hat", ("beanie", "cap", "brim", "scarf")),
    "glasses": ("glasses", ("thin", "thick", "dark")),
    "beards": ("beard", ("moustache", "goatee", "full")),
}
_PORTRAITS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "women": ("gender", ("F",)),
    "colour": ("tone", ("color",)),
    "tinted": ("tone", ("tinted",)),
}


def main() -> int:
    """Run the experiment and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.debiasing.shares")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--faces", type=int, default=6000, help="and as many non-faces")
    parser.add_argument("--size", type=int, default=32, help="of the images")
    parser.add_argument("--epochs", type=int, default=2, help="before faces are weighted")
    parser.add_argument("--ess", type=float, default=0.25, help="least share of the sample size")
    parser.add_argument(
        "--portraits", type=Path, help="folder of portraits in place of drawn faces"
    )
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    return guarded(lambda: _experiment(options))


def _experiment(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    wanted = _RARE if options.portraits is None else _PORTRAITS
    name = "shares" if options.portraits is None else "shares-portraits"
    results: list[dict[str, Any]] = []
    for seed in tqdm(range(options.seeds), unit="seed"):
        data, encodings = _trained(_config(options, seed))
        groups = _groups(data, wanted)
        weights = _all_weights(encodings, groups, options.ess)
        results += [
            {"seed": seed, "rule": rule, **_figures(values, groups)}
            for rule, values in weights.items()
        ]
        if seed == 0 and options.portraits is None:  # photographs stay where they are
            raised = np.argsort(-weights["hard"], kind="stable")[:_SHOWN]
            faces = data.faces.images[data.faces.train[raised]]
            save_png(options.out / f"{name}-faces.png", grid(faces, 12, scale=2))
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    options.out.mkdir(parents=True, exist_ok=True)
    found = json.dumps({"settings": settings, "results": results}, indent=1)
    (options.out / f"{name}.json").write_text(found + "\n")
    table = _means(results)
    _plot(options.out / f"{name}.png", table)
    tqdm.write(_text(table))


def _config(options: argparse.Namespace, seed: int) -> TrainingConfig:
    count = {"faces": options.faces, "nonfaces": options.faces}
    data: dict[str, Any] = {"source": {"kind": "synthetic", "seed": seed, **count}}
    data |= {"group_columns": ["tone_group"]}
    if options.portraits is not None:
        folder = options.portraits
        data = {"faces": str(folder / "face"), "nonfaces": str(folder / "nonface")}
        data |= {"labels": str(folder / "labels.csv"), "group_columns": ["tone", "gender"]}
    sections = {
        "name": "shares",
        "seed": seed,
        "device": "cpu",
        "precision": "float32",
        "pictures_every": 0,
        "model": {"kind": "dbvae", "image_size": options.size, "latent_size": 100},
        "data": {**data, "cache": str(_CACHE)},
        "loss": {"reconstruction": "mse", "kl_weight": 2e-6, "vae_weight": 200},
        "optimizer": {
            "learning_rate": 1e-3,
            "batch_size": 64,
            "epochs": options.epochs,
            "ema_decay": 0.99,
        },
    }
    return parse(TrainingConfig, sections, source="shares")


def _trained(config: TrainingConfig) -> tuple[TrainingData, Encodings]:
    data = load_data(config)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.create(Path(folder) / "run")
        with contextlib.closing(run):
            Trainer(config, data, run, open_device(config)).fit(lambda: False)
        model = load_model(run.last).model
    return data, encode_all(model, data.faces.images, data.faces.train)


def _groups(
    data: TrainingData, wanted: Mapping[str, tuple[str, tuple[str, ...]]]
) -> dict[str, Bools]:
    rows = data.faces.train
    found = {
        name: np.isin(data.labels[column].texts()[rows], values)
        for name, (column, values) in wanted.items()
    }
    if missing := [name for name, members in found.items() if not members.any()]:
        raise DataError(f"no training face of {', '.join(missing)}; give more --faces")
    return found


def _all_weights(
    encodings: Encodings, groups: Mapping[str, Bools], ess: float
) -> dict[str, Float64]:
    """Weights by rule; all that there are have the same least effective sample size."""
    latents, logits = encodings.mean, encodings.logit
    assert latents is not None  # noqa: S101 - a dbvae has both
    assert logits is not None  # noqa: S101
    rows: dict[str, tuple[str, NDArray[np.floating]]] = {
        "lab": ("lab", latents),
        "paper": ("paper", latents),
        "lab, 20 components": ("lab", whitened(latents, 20)),
        "hard": ("hard", logits[:, None]),
    }
    values = {
        name: weigh(read, rule=rule, min_effective_sample_size=ess)[1].values
        for name, (rule, read) in rows.items()
    }
    with threadpool_limits(1):  # threads that wait for a busy core cost more than they bring
        tried = {name: weights_of(score(latents), name, ess) for name, score in CANDIDATES.items()}
    return {
        "none": np.full(len(latents), 1 / len(latents)),
        **values,
        **{name: weights.values for name, weights in tried.items()},
        "known": _known(groups, ess),
    }


def _known(groups: Mapping[str, Bools], ess: float) -> Float64:
    """The most that all groups can be raised by alike at an effective sample size, by labels.

    Of all weights that raise each group by the factor t, those with the least sum of squares are
    1 + Σ a_g (member of g - share of g); t is found by bisection. Negative ones become 0.
    """
    members = np.stack([member.astype(float) for member in groups.values()])
    shares = members.mean(axis=1)
    centred = members - shares[:, None]
    slopes = np.linalg.solve(centred @ centred.T / members.shape[1], shares)
    low, high = 0.0, 100.0
    for _ in range(50):
        middle = (low + high) / 2
        raised = np.maximum(1 + middle * (slopes @ centred), 0)
        large = effective_sample_size(raised) >= ess * len(raised)
        low, high = (middle, high) if large else (low, middle)
    weights: Float64 = np.maximum(1 + low * (slopes @ centred), 0)
    weights /= weights.sum()
    return weights


def _figures(weights: Float64, groups: Mapping[str, Bools]) -> dict[str, Any]:
    return {
        "effective_share": effective_sample_size(weights) / len(weights),
        "before": {name: float(member.mean()) for name, member in groups.items()},
        "after": {name: float(weights[member].sum()) for name, member in groups.items()},
    }


def _means(results: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By rule: the effective share and each group's factor, means over the seeds."""
    table: dict[str, dict[str, float]] = {}
    for rule in dict.fromkeys(one["rule"] for one in results):
        own = [one for one in results if one["rule"] == rule]
        factors = {
            group: float(np.mean([one["after"][group] / one["before"][group] for one in own]))
            for group in own[0]["before"]
        }
        effective = float(np.mean([one["effective_share"] for one in own]))
        table[rule] = {"effective share": effective, **factors}
    return table


def _text(table: Mapping[str, Mapping[str, float]]) -> str:
    columns = list(next(iter(table.values())))
    lines = [["rule", *columns, "median", "best"], ["---"] * (len(columns) + 3)]
    for rule, row in table.items():
        factors = [row[column] for column in columns[1:]]
        shown = [f"{row['effective share']:.0%}", *(f"{value:.1f}" for value in factors)]
        lines.append([rule, *shown, f"{np.median(factors):.1f}", f"{max(factors):.1f}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plot(path: Path, table: Mapping[str, Mapping[str, float]]) -> None:
    rules = list(table)
    groups = [name for name in table[rules[0]] if name != "effective share"]
    figure, axes = plt.subplots(figsize=(11, 4), layout="constrained")
    width = 0.8 / len(groups)
    for number, group in enumerate(groups):
        places = np.arange(len(rules)) + (number - (len(groups) - 1) / 2) * width
        axes.bar(places, [table[rule][group] for rule in rules], width, label=group)
    axes.axhline(1, color="#555555", linewidth=0.8)
    axes.axhline(4, color="#555555", linewidth=0.8, linestyle=":")
    labels = [f"{rule}\n{table[rule]['effective share']:.0%}" for rule in rules]
    axes.set_xticks(range(len(rules)), labels, fontsize=8)
    axes.set_ylabel("share after / share before")
    axes.set_xlabel("rule, and the effective sample size as a share of the faces", fontsize=8)
    axes.legend(fontsize=8, ncols=3)
    figure.savefig(path, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    raise SystemExit(main())
