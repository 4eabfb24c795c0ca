"""The benchmark's command: `python -m benchmarks.debiasing`."""

import argparse
import shlex
import sys
from dataclasses import asdict
from functools import cached_property
from itertools import product
from pathlib import Path

import torch
from evenface_core.cli import guarded
from evenface_training.config import TrainingConfig
from evenface_training.synthetic.render import VERSION
from tqdm import tqdm

from benchmarks.debiasing.report import Evidence, write
from benchmarks.debiasing.runs import Ledger, Run, common_sections, configure, train_and_test
from benchmarks.debiasing.sets import HeldOut, Sizes, data_section, load_test, load_train
from benchmarks.debiasing.variants import BASE, VARIANTS, Variant

_ROOT = Path(__file__).parents[2]
_CACHE = Path(".cache/bench/debiasing")


def main() -> int:
    """Run the benchmark and return the exit code: 0, 2 after an error, 130 after Ctrl-C."""
    options = _parser().parse_args()
    return guarded(lambda: _evidence(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.debiasing", description=__doc__)
    commands = parser.add_subparsers(required=True)
    evidence = commands.add_parser(
        "evidence", help="train every variant, test each group, compare; goes on where it stopped"
    )
    evidence.add_argument("--data", choices=("synthetic", "portraits"), default="synthetic")
    evidence.add_argument("--seeds", type=int, default=5, help="runs of each variant (default: 5)")
    evidence.add_argument(
        "--first-seed",
        type=int,
        default=0,
        help="others than those a choice was made by (default: 0)",
    )
    evidence.add_argument(
        "--variants", nargs="+", choices=VARIANTS, help="default: all that the data allow"
    )
    evidence.add_argument(
        "--augmentation",
        nargs="+",
        choices=("none", "standard"),
        default=("none", "standard"),
        help="of the training images (default: each variant with both)",
    )
    evidence.add_argument("--size", type=int, default=32, help="of the images (default: 32)")
    evidence.add_argument(
        "--train",
        type=int,
        default=1000,
        help="training faces, and as many non-faces (default: 1000)",
    )
    evidence.add_argument(
        "--test", type=int, default=5000, help="faces of the drawn test set (default: 5000)"
    )
    evidence.add_argument(
        "--test-nonfaces",
        type=int,
        default=10_000,
        help="its non-faces, which set the threshold of 1 %% false positives (default: 10000)",
    )
    evidence.add_argument("--epochs", type=int, default=5)
    evidence.add_argument("--replicates", type=int, default=500, help="of the bootstrap")
    evidence.add_argument("--portraits", type=Path, default=Path("data/portraits"))
    evidence.add_argument("--report", action="store_true", help="of the finished runs; train none")
    evidence.add_argument(
        "--out", type=Path, default=_ROOT / "benchmarks" / "results", help="folder of the results"
    )
    return parser


def _evidence(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    bench = _Bench(options)
    kinds = [kind == "standard" for kind in options.augmentation]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    wanted = [
        (seed, bench.variants[name], augmented)
        for seed, name, augmented in product(seeds, bench.names, kinds)
    ]
    done = {run.key for run in bench.ledger.runs()}
    todo = [each for each in wanted if bench.key(*each) not in done and not options.report]
    with tqdm(total=len(wanted), initial=len(wanted) - len(todo), unit="run") as bar:
        for seed, variant, augmented in todo:
            bar.set_postfix_str(f"{variant.name}{' + augmentation' * augmented}, seed {seed}")
            bench.ledger.add(bench.run(seed, variant, augmented=augmented))
            bar.update()
    keys = {bench.key(*each) for each in wanted}
    bench.report([run for run in bench.ledger.runs() if run.key in keys])


class _Bench:
    """What all runs have in common."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._sizes = Sizes(options.size, options.train, options.test, options.test_nonfaces)
        self.settings = {
            "data": options.data,
            "sizes": asdict(self._sizes),
            "pictures": VERSION if options.data == "synthetic" else None,
            "model": {"image_size": options.size, "latent_size": 100, "n_filters": 12},
            "optimizer": {
                "learning_rate": 0.001,
                "batch_size": 32,
                "epochs": options.epochs,
                "schedule": "cosine",
                "ema_decay": 0.99,
            },
        }
        self.variants = VARIANTS
        self.names = options.variants or [
            name
            for name in VARIANTS
            if options.data == "synthetic" or VARIANTS[name].faces != "even"
        ]
        self.ledger = Ledger(_CACHE / f"{options.data}.jsonl", self.settings)

    @staticmethod
    def key(seed: int, variant: Variant, augmented: bool) -> tuple[str, bool, int]:
        return variant.name, augmented, seed

    @cached_property
    def tests(self) -> dict[str, HeldOut]:
        config = self._config(0, VARIANTS[BASE], augmented=False)
        clean = load_test(self._options.data, self._sizes, config)
        return {"clean": clean, "degraded": clean.degraded()}

    def run(self, seed: int, variant: Variant, *, augmented: bool) -> Run:
        config = self._config(seed, variant, augmented=augmented)
        return train_and_test(
            config, variant, load_train(config, variant.faces, self._sizes.train), self.tests
        )

    def report(self, runs: list[Run]) -> None:
        command = shlex.join(["python", "-m", "benchmarks.debiasing", *sys.argv[1:]])
        evidence = Evidence(self._options.data, command, self.settings, runs, self.tests["clean"])
        path = self._options.out / f"debiasing-{self._options.data}"
        tqdm.write(write(evidence, path, self._options.replicates))
        tqdm.write(f"done: {path}.md, .json, .png")

    def _config(self, seed: int, variant: Variant, *, augmented: bool) -> TrainingConfig:
        section = data_section(
            self._options.data,
            self._sizes,
            seed,
            even=variant.faces == "even",
            portraits=self._options.portraits,
        )
        section["cache"] = _CACHE / "images"
        common = common_sections(self.settings, section, seed)
        return configure(common, variant, augmented=augmented)


if __name__ == "__main__":
    raise SystemExit(main())
