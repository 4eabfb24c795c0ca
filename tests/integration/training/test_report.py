"""`evenface-train report` on real runs: every kind, several at once, runs that lack something."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from evenface_training.checkpoint import load_checkpoint, load_model, save_checkpoint
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from evenface_training.device import open_device
from evenface_training.evaluate import evaluate
from evenface_training.loop import Trainer
from evenface_training.main import main
from evenface_training.run_folder import RunFolder
from support.pages import Page

ConfigMaker = Callable[..., TrainingConfig]
RunMaker = Callable[..., Path]
Reporter = Callable[..., Page]

KINDS: dict[str, dict[str, object]] = {
    "cnn": {"model": {"kind": "cnn"}, "resampling": {"enabled": False}},
    "vae": {"model": {"kind": "vae"}, "data": {"nonfaces": None}},
    "dbvae": {},
    "conditional": {"model": {"conditions": ["odd"]}},
    "gray of 30 pixels": {
        "model": {"kind": "vae", "architecture": "conv30", "image_size": 30, "channels": 1},
        "data": {"nonfaces": None},
    },
}


@pytest.fixture
def make_run(make_config: ConfigMaker, images: Path, tmp_path: Path) -> RunMaker:
    """A function that trains a tiny run, by name and sections, and gives its folder."""
    lines = (images / "labels.csv").read_text().splitlines()
    rows = [f"{line},{number % 2}" for number, line in enumerate(lines[1:])]
    (images / "labels.csv").write_text("\n".join([f"{lines[0]},odd", *rows]) + "\n")

    def make(name: str, **sections: object) -> Path:
        config = make_config(**{"optimizer": {"epochs": 2}, **sections})
        run = RunFolder.create(tmp_path / "runs" / name)
        data = load_data(config)
        run.describe(config, data)
        Trainer(config, data, run, open_device(config)).fit(lambda: False)
        run.close()
        return run.path

    return make


@pytest.fixture
def report(tmp_path: Path) -> Reporter:
    """A function that reports runs, sees that it succeeds, and gives the page."""

    def make(*arguments: object) -> Page:
        out = tmp_path / "page.html"
        given = [str(argument) for argument in arguments]
        assert main(["report", *given, "--device", "cpu", "--out", str(out), "--replace"]) == 0
        return Page(out.read_text())

    return make


def _require_self_contained(page: Page) -> None:
    assert page.problems == []
    assert not {"script", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|url\(|@import|//[a-z]", page.html.split("<body>")[0])
    identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src", "srcset", "action", "xlink:href"):
            value = attributes.get(name) or "#content"
            assert value.startswith("data:image/jpeg;base64,") or value[1:] in identities
    assert all(image["alt"] for image in page.all("img"))
    assert all(drawing["aria-label"] for drawing in page.all("svg"))


def _be_hesitant(path: Path) -> None:
    """Lower every logit of a model, which leaves alone what is measured at a share of alarms."""
    checkpoint = load_checkpoint(path)
    (name,) = (
        name
        for name, tensor in checkpoint.section("averaged").items()
        if tensor.shape == (1 + 2 * checkpoint.config.model.latent_size,)
    )
    checkpoint.tensors[f"averaged.{name}"][0] -= 100.0
    save_checkpoint(path, checkpoint)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_any_kind_is_a_page_that_needs_nothing_else(
    kind: str, make_run: RunMaker, report: Reporter
) -> None:
    run = make_run("mine", **KINDS[kind])
    page = report(run)
    _require_self_contained(page)
    loaded = load_model(run / "checkpoints" / "best.safetensors")
    for name, value in loaded.metrics.items():
        assert page.row(name) == [f"{value:.5f}" if abs(value) < 10 else f"{value:,.2f}"]
    assert ("Traversals" in page.text) == ("Reconstructions" in page.text) == (kind != "cnn")
    assert ("true positive rate at 0.5" in page.text) == (loaded.config.model.classifies)
    assert ("This page holds faces of the data set" in page.text) == (kind != "cnn")
    assert ("All conditions are 0" in page.text) == (kind == "conditional")


def test_rates_and_shares_of_groups_are_those_of_the_run(
    make_run: RunMaker, report: Reporter
) -> None:
    learned = {"epochs": 8, "learning_rate": 0.01}
    run = make_run("mine", data={"group_columns": ["tone", "odd"]}, optimizer=learned)
    best = run / "checkpoints" / "best.safetensors"
    _be_hesitant(best)
    page = report(run)
    loaded = load_model(best)
    data = load_data(loaded.config)
    found = evaluate(loaded.model, data, loaded.config.loss)
    assert found.groups is not None
    # Else one could pass for the other.
    assert found.groups.at_half["tone=plain"] < found.groups.at_one_percent["tone=plain"]
    for name, count in found.group_sizes.items():
        row = page.row(name)
        assert row[0] == f"{count} *"  # all are small
        assert row[1].split(" (")[0] == f"{100 * found.groups.at_half[name]:.1f} %"
        assert row[2].split(" (")[0] == f"{100 * found.groups.at_one_percent[name]:.1f} %"
    tone, odd = (data.labels[name].texts()[data.faces.validation] for name in ("tone", "odd"))
    for value in ("0", "1"):
        both = int(((tone == "plain") & (odd == value)).sum())
        assert page.row(f"tone=plain, odd={value}")[0] == f"{both} *"
    weighted = [line for line in RunFolder(run).records() if line["kind"] == "resampling"][-1]
    blue = weighted["groups"]["tone=blue"]
    before, after = (f"{100 * blue[key]:.1f} %" for key in ("before", "after"))
    factor = f"{blue['after'] / blue['before']:.2f} ×"
    assert ["tone=blue", before, after, factor] in [row for table in page.tables for row in table]


def test_a_classifier_that_resamples_shows_its_rare_faces(
    make_run: RunMaker, report: Reporter
) -> None:
    page = report(make_run("mine", model={"kind": "cnn"}, resampling={"rule": "hard"}))
    _require_self_contained(page)
    assert "Rarest and commonest faces" in page.text
    assert "This page holds faces of the data set" in page.text
    assert "Traversals" not in page.text


def test_runs_stand_side_by_side(make_run: RunMaker, report: Reporter) -> None:
    cnn = make_run("cnn", **KINDS["cnn"])
    dbvae = make_run("db-vae", data={"group_columns": ["tone", "odd"]})
    page = report(cnn, dbvae)
    _require_self_contained(page)
    assert page.row("figure") == ["cnn", "db-vae"]
    assert page.row("kl")[0] == "–"
    assert page.row("model.kind") == ["cnn", "dbvae"]
    bars = [chart["aria-label"] or "" for chart in page.all("svg")]
    tone = next(text for text in bars if text.startswith("True positive rates. At 0.5."))
    assert re.search(r"tone=plain: cnn \d+\.\d %, db-vae \d+\.\d %\.", tone)
    # The first run knows no groups by this column.
    assert page.row("odd=0")[:4] == ["–"] * 4
    assert "All runs were measured on the same images" in page.text


def test_runs_on_different_images_are_said_to_be(
    make_run: RunMaker, images: Path, report: Reporter
) -> None:
    first = make_run("first", **KINDS["cnn"])
    other = images.parent / "other"
    shutil.copytree(images, other)
    (other / "face" / "001.png").unlink()
    data = {"faces": other / "face", "labels": other / "labels.csv"}
    page = report(first, make_run("second", **{**KINDS["cnn"], "data": data}))
    assert "The runs were measured on different images" in page.text


def test_labels_cannot_become_part_of_the_page(
    make_run: RunMaker, images: Path, report: Reporter
) -> None:
    text = (images / "labels.csv").read_text()
    evil = "<script>alert(1)</script>"
    (images / "labels.csv").write_text(text.replace("plain", f'"{evil}"'))
    page = report(make_run("<b>"))
    _require_self_contained(page)
    assert page.row(f"tone={evil}")
    assert page.all("b") == [attributes for attributes in page.all("b") if not attributes]
    assert "<script" not in page.html
    assert "&lt;b&gt;" in page.html


def test_without_its_data_a_run_still_tells_what_it_wrote_down(
    make_run: RunMaker, images: Path, report: Reporter, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run("mine")
    (images / "face").rename(images / "gone")
    page = report(run)
    _require_self_contained(page)
    message = "Nothing was measured, because the run's data were not found"
    assert message in page.text
    assert message in capsys.readouterr().out
    assert {image["alt"] for image in page.all("img")} == {
        f"{name}, as the run itself drew them at its last pictures"
        for name in ("Reconstructions", "Samples", "Rarest", "Commonest")
    }
    assert "This page holds faces of the data set" in page.text
    assert page.row("psnr")
    assert page.row("tone=blue")[2].endswith("×")


def test_data_that_have_moved_are_named(make_run: RunMaker, images: Path, report: Reporter) -> None:
    run = make_run("mine")
    (images / "face").rename(images / "elsewhere")
    # Labels are found by the faces' folder, so they move too.
    text = (images / "labels.csv").read_text()
    (images / "labels.csv").write_text(text.replace("face/", "elsewhere/"))
    page = report(run, "--set", f"data.faces={images / 'elsewhere'}")
    assert "Nothing was measured" not in page.text
    assert "Traversals" in page.text


def test_other_data_are_not_taken_for_the_runs_own(
    make_run: RunMaker, images: Path, report: Reporter
) -> None:
    run = make_run("mine")
    (images / "face" / "001.png").unlink()
    page = report(run)
    assert "these are not the images and labels that the run was trained on" in page.text
    assert "Traversals" not in page.text


def test_a_damaged_run_tells_what_is_left(make_run: RunMaker, report: Reporter) -> None:
    run = make_run("mine")
    (run / "checkpoints" / "best.safetensors").write_bytes(b"damaged")
    (run / "pictures" / "samples.png").write_bytes(b"damaged")
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'5\n{"kind": "epoch"}\n{"kind": "epoch", "epoch": "x"}\n\xff\xfe\n{"kind": "ep')
    page = report(run)
    _require_self_contained(page)
    assert "The best checkpoint cannot be read" in page.text
    assert "2 of 2" in page.text  # epochs
    assert not any((image["alt"] or "").startswith("Samples") for image in page.all("img"))


def test_a_run_without_a_whole_epoch_shows_its_steps(make_run: RunMaker, report: Reporter) -> None:
    run = make_run("mine")
    (run / "checkpoints" / "best.safetensors").unlink()
    steps = [line for line in (run / "metrics.jsonl").read_text().splitlines() if '"step"' in line]
    (run / "metrics.jsonl").write_text("\n".join(steps[:3]) + "\n")
    shutil.rmtree(run / "pictures")
    page = report(run)
    assert "No epoch is complete yet" in page.text
    assert any("loss by step" in (chart["aria-label"] or "") for chart in page.all("svg"))
    assert "This page holds faces" not in page.text


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Ask for a report, see that it is refused properly, and give the one line that says why."""

    def run(*arguments: object) -> str:
        assert main(["report", *map(str, arguments)]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        return lines[0]

    return run


def test_no_file_is_overwritten_unasked(make_run: RunMaker, refused: Callable[..., str]) -> None:
    run = make_run("mine", **KINDS["cnn"])
    assert main(["report", str(run), "--device", "cpu"]) == 0
    written = (run / "report.html").read_bytes()
    assert f"{run / 'report.html'} exists; --replace replaces it" in refused(run)
    assert (run / "report.html").read_bytes() == written


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["{run}", "{other}"], "no run folder (there is no config.yaml in it)"),
        (["{run}", "{run}"], "given twice"),
        (["{run}", "--out", "{other}"], "a folder; --out names a file"),
        (["{run}", "--set", "model.kind=vae"], "a report takes keys of data alone"),
        (["{run}", "--set", "data.fases=x"], "did you mean 'faces'?"),
        (["{run}", "--device", "gpu"], "'auto', 'cpu', 'cuda' or 'mps'"),
    ],
)
def test_what_cannot_be_reported_is_one_line(
    arguments: list[str],
    problem: str,
    make_config: ConfigMaker,
    tmp_path: Path,
    refused: Callable[..., str],
) -> None:
    run, other = RunFolder.create(tmp_path / "run"), tmp_path / "other"
    config = make_config()
    run.describe(config, load_data(config))
    run.close()
    other.mkdir()
    assert problem in refused(*(word.format(run=run.path, other=other) for word in arguments))
    assert not (run.path / "report.html").exists()
