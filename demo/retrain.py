"""Trains a small classifier of faces twice, evenly and by the weights of `evenface-batch`.

    python demo/retrain.py --model models/faces/1 --out retrain-output

Needs no images: faces and non-faces are drawn, so that each face's group is known; the weights know
nothing of groups. Prints the table of groups before and after: the share of the weight, and the
true positive rate at 1 % false positives on drawn faces of a test set in which no group is rare.
"""

# ruff: noqa: INP001 - a script, not a package

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from evenface_client.weights import align_weights, weighted_sampler
from evenface_core.errors import EvenfaceError
from evenface_training.synthetic import (
    SyntheticConfig,
    balanced,
    collect,
    render_faces,
    render_nonfaces,
)
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

UInt8 = NDArray[np.uint8]
Float64 = NDArray[np.float64]
Labels = dict[str, NDArray[np.str_]]

GROUPS = ("tone_group", "light", "pose")  # columns of labels, each of their values a group
FALSE_POSITIVES = 0.01
SIZE, BATCH, RATE = 64, 64, 1e-3


@dataclass(frozen=True)
class Part:
    """Drawn images, and what the faces among them show."""

    faces: UInt8
    nonfaces: UInt8
    labels: Labels


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, score, weight, train, compare; the exit code is 0 when all was done."""
    parser = argparse.ArgumentParser(description="Train a classifier evenly and by weights.")
    parser.add_argument("--model", type=Path, default=Path("models/faces/1"), help="a bundle")
    parser.add_argument("--out", type=Path, default=Path("retrain-output"))
    parser.add_argument("--rule", default="hard", help="of the weights (hard)")
    parser.add_argument("--min-ess", type=float, default=0.0, help="least effective share")
    parser.add_argument("--faces", type=int, default=3000, help="to train with, as many non-faces")
    parser.add_argument("--test", type=int, default=4000, help="faces to test with")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of either kind")
    options = parser.parse_args(argv)
    try:
        print(run(options))  # noqa: T201
    except (EvenfaceError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    return 0


def run(options: argparse.Namespace) -> str:
    """Do all of it; the table as text."""
    config = SyntheticConfig(seed=1, size=SIZE)
    train = draw(config, options.faces, options.faces)
    test = draw(balanced(config, "tone", "light", "pose"), options.test, options.test)
    weights = weigh(train.faces, options)
    rates: dict[str, list[dict[str, float]]] = {"even": [], "weighted": []}
    for seed in range(options.seeds):
        for way, faces in (("even", np.ones(len(weights))), ("weighted", weights)):
            model = trained(train, faces, options.epochs, seed)
            rates[way].append(group_rates(model, test))
            say(f"seed {seed}, {way}: {rates[way][-1]}")
    table = Table(train.labels, weights, rates)
    (options.out / "groups.json").write_text(json.dumps(table.figures(), indent=1) + "\n")
    return table.text()


def draw(config: SyntheticConfig, faces: int, nonfaces: int) -> Part:
    """Draw images, on all cores."""
    say(f"drawing {faces:,} faces and {nonfaces:,} non-faces")
    drawn = collect(render_faces, config, 0, faces)
    return Part(drawn.images, collect(render_nonfaces, config, 0, nonfaces).images, drawn.labels)


def weigh(faces: UInt8, options: argparse.Namespace) -> Float64:
    """Weight faces by the command, as one would millions of them; float64 [N]."""
    folder = options.out / "faces"
    folder.mkdir(parents=True, exist_ok=True)
    for number, face in enumerate(faces):
        Image.fromarray(face).save(folder / f"{number:06}.png")
    job = options.out / "job"
    command = (sys.executable, "-m", "evenface_batch.main", "all", str(folder), "--out", str(job))
    how = ("--rule", options.rule, "--min-ess", str(options.min_ess))
    subprocess.run((*command, "--model", str(options.model), *how, "--resume"), check=True)  # noqa: S603
    return align_weights(job, [f"{number:06}.png" for number in range(len(faces))])


def trained(train: Part, weights: Float64, epochs: int, seed: int) -> nn.Module:
    """Train a classifier, half of each batch faces drawn by weights."""
    torch.manual_seed(seed)
    model = network()
    faces, nonfaces = floats(train.faces), floats(train.nonfaces)
    half = BATCH // 2
    by_weight = DataLoader(TensorDataset(faces), half, sampler=weighted_sampler(weights, seed=seed))
    even = weighted_sampler(np.ones(len(nonfaces)), seed=seed)
    evenly = DataLoader(TensorDataset(nonfaces), half, sampler=even)
    steps = torch.optim.Adam(model.parameters(), RATE)
    for _ in range(epochs):
        for (some,), (others,) in zip(by_weight, evenly, strict=True):
            logits = model(torch.cat([some, others]))[:, 0]
            wanted = torch.cat([torch.ones(len(some)), torch.zeros(len(others))])
            loss = functional.binary_cross_entropy_with_logits(logits, wanted)
            steps.zero_grad()
            loss.backward()
            steps.step()
    return model.eval()


def network() -> nn.Module:
    """Three convolutions and a dense layer, on images of half the size."""
    layers: list[nn.Module] = [nn.AvgPool2d(2)]
    for inputs, outputs in ((3, 16), (16, 32), (32, 48)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.ReLU(), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(48 * 16, 1))


def group_rates(model: nn.Module, test: Part) -> dict[str, float]:
    """True positive rate of each group, where 1 % of the non-faces pass for faces."""
    with torch.no_grad():
        of_faces, of_others = model(floats(test.faces))[:, 0], model(floats(test.nonfaces))[:, 0]
    passed = (of_faces > torch.quantile(of_others, 1 - FALSE_POSITIVES)).numpy()
    groups = {name: passed[chosen].mean() for name, chosen in groups_of(test.labels).items()}
    return {"all": float(passed.mean())} | {name: float(rate) for name, rate in groups.items()}


def groups_of(labels: Labels) -> dict[str, NDArray[np.bool_]]:
    """Who is in which group."""
    return {
        f"{column} {value}": labels[column] == value
        for column in GROUPS
        for value in np.unique(labels[column])
    }


def floats(images: UInt8) -> Tensor:
    """float32 [N, 3, S, S], 0 to 1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True)
class Table:
    """Groups before and after."""

    labels: Labels
    weights: Float64
    rates: dict[str, list[dict[str, float]]]

    def figures(self) -> dict[str, dict[str, object]]:
        """By group: shares, and the rate of each training."""
        chosen = {"all": np.ones(len(self.weights), np.bool_)} | groups_of(self.labels)
        total = self.weights.sum()
        return {
            name: {
                "share": float(who.mean()),
                "share_of_weight": float(self.weights[who].sum() / total),
                **{way: [found[name] for found in runs] for way, runs in self.rates.items()},
            }
            for name, who in chosen.items()
        }

    def text(self) -> str:
        """Markdown; rates as mean and standard deviation over the seeds, of the difference too."""
        lines = [
            "| group | share of faces | of weight | rate, even | rate, weighted | difference |",
            "|---|---|---|---|---|---|",
        ]
        for name, found in self.figures().items():
            even, weighted = np.array(found["even"]), np.array(found["weighted"])
            rates = (spread(even), spread(weighted), spread(weighted - even, sign="+"))
            shares = f"{found['share']:.1%} | {found['share_of_weight']:.1%}"
            lines.append(f"| {name} | {shares} | {' | '.join(rates)} |")
        return "\n".join(lines)


def spread(rates: Float64, sign: str = "") -> str:
    """Mean and standard deviation, in per cent."""
    return f"{100 * rates.mean():{sign}.1f} ± {100 * rates.std(ddof=len(rates) > 1):.1f}"


def say(line: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
