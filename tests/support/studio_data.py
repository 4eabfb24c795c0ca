"""What the tabs Dataset, Fairness and Live show in tests: real models, images, a real job."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from evenface_batch.main import main as batch
from evenface_core.pictures import save_png
from playwright.sync_api import Browser, Locator, Page, expect

from support.bundles import Tiny, write_tiny_bundle
from support.faces import draw_face
from support.scored_files import Lines, write_file
from support.servers import ServerProcess, server_process
from support.studio import StudioProcess, studio_process, visiting

FACES = 70
HOSTILE = "<img src=x onerror=document.title='broken'>.png"


@dataclass
class Place:
    """What a studio shows.

    Attributes:
        studio: Over the service.
        server: The service.
        data: The folder that it may read: images, the job `scores`, Parquet files.
    """

    studio: StudioProcess
    server: ServerProcess
    data: Path


GROUPS = (("tone", "gray", 382), ("tone", "color", 227), ("gender", "F", 16))


def write_grouped_models(models: Path) -> Path:
    """Two versions that treat groups differently, and a model without groups."""
    rates = {"1": (0.75, 0.75, 0.75), "2": (380 / 382, 1.0, 1.0)}
    for version, own in rates.items():
        groups = [
            {
                "column": column,
                "value": value,
                "count": count,
                "true_positive_rate": rate,
                "share": 0.2,
                "weighted_share": 0.3,
            }
            for (column, value, count), rate in zip(GROUPS, own, strict=True)
        ]
        _write_model(models, Tiny(version=version), groups)
    _write_model(models, Tiny(name="plain"), [])
    return models


def _write_model(models: Path, tiny: Tiny, groups: list[dict[str, object]]) -> None:
    path = write_tiny_bundle(models, tiny) / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["provenance"] |= {"data_digest": "the same"}
    path.write_text(json.dumps({**manifest, "groups": groups}))


def write_data(root: Path, models: Path) -> Path:
    """Images with labels, one of them broken; a job that scored them; two Parquet files."""
    generator = np.random.default_rng(3)
    lines = ["file,tone"]
    for number in range(FACES):
        rare = number % 12 == 0
        save_png(root / "photos" / f"{number:03}.png", draw_face(generator, rare=rare))
        lines.append(f"{number:03}.png,{'blue' if rare else 'plain'}")
    (root / "photos" / "labels.csv").write_text("\n".join(lines))
    (root / "photos" / "broken.png").write_bytes(b"no image")
    options = [
        "--model",
        str(models / "faces" / "2"),
        "--out",
        str(root / "scores"),
        "--workers",
        "1",
    ]
    assert batch(["all", str(root / "photos"), *options]) == 1  # one image is broken
    odd = Lines([HOSTILE, "b.png"], [0.75, 0.25], [0.25, 0.75], [None, None])
    write_file(root / "odd.parquet", odd)
    (root / "damaged.parquet").write_bytes(b"no parquet")
    return root


@contextmanager
def place_over(models: Path, data: Path) -> Iterator[Place]:
    """Start a service and a studio that may read a folder."""
    options = ("--default-model", "faces", "--workers", "1", "--metrics", "--metrics-port", "0")
    with server_process(models, *options) as server:
        url = f"http://{server.wait_for('serving')['metrics_address']}/metrics"
        with studio_process(server.address, "--metrics", url, "--data", str(data)) as studio:
            yield Place(studio, server, data)


@contextmanager
def at(browser: Browser, place: Place, tab: str, **options: object) -> Iterator[Page]:
    """Visit a tab."""
    with visiting(browser, place.studio, tab, **options) as visit:  # type: ignore[arg-type]
        yield visit.page


def open_set(page: Page, name: str) -> Locator:
    """Open a data set, and return the panel once its faces are there."""
    panel = page.get_by_role("tabpanel", name="Dataset")
    panel.get_by_role("button", name=name).click()
    expect(panel.locator(".thumb").first).to_be_visible()
    return panel
