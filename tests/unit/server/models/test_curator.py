"""Bundles that come, change and go, with real bundles and several workers in this process."""

import asyncio
import gc
import logging
import shutil
import threading
import weakref
from pathlib import Path

import pytest
from evenface_core.bundle import Bundle, open_bundle
from evenface_core.errors import (
    BundleError,
    ConfigError,
    ModelNotFound,
    OrderRefused,
    ServiceUnavailable,
)
from evenface_runtime import Model
from evenface_server.models import store, watch
from evenface_server.models.plan import ModelKey
from evenface_server.models.status import State
from evenface_server.models.watch import Sight, scan
from support.bundles import Tiny, write_tiny_bundle
from support.curators import Bench, curated
from support.servers import until

ONE, TWO = ModelKey("faces", "1"), ModelKey("faces", "2")


def write(bench: Bench, *versions: str) -> None:
    for version in versions:
        write_tiny_bundle(bench.models, Tiny(version=version))


def spoil(folder: Path) -> None:
    data = bytearray((folder / "encode.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "encode.onnx").write_bytes(data)


async def test_what_there_is_at_the_start_is_served_by_all_workers(tmp_path: Path) -> None:
    async with curated(tmp_path, workers=3) as bench:
        write(bench, "1", "2")
        await bench.curator.open()
        assert bench.served() == ["faces/1", "faces/2"]
        assert bench.curator.status().workers == 3
        assert [worker.opened for worker in bench.workers] == 3 * [[ONE, TWO]]


async def test_without_a_good_bundle_the_start_is_an_error(tmp_path: Path) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1")
        spoil(bench.models / "faces" / "1")
        with pytest.raises(ConfigError, match="no usable bundle"):
            await bench.curator.open()
        assert bench.refused == [ONE]


async def test_a_new_bundle_is_served_after_two_looks_and_one_that_is_gone_no_more(
    tmp_path: Path,
) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1")
        await bench.curator.open()
        watching = asyncio.create_task(bench.curator.watch(0.01))
        write(bench, "2")
        await until(lambda: bench.served() == ["faces/1", "faces/2"])
        shutil.rmtree(bench.models / "faces" / "1")
        await until(lambda: bench.served() == ["faces/2"])
        watching.cancel()


async def test_looking_changes_nothing_where_nothing_has_changed(tmp_path: Path) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1")
        await bench.curator.open()
        before = [list(app.engine.registry) for app in bench.apps]
        await bench.curator.reload()
        (bench.models / "faces" / "1" / "manifest.json").touch()
        await bench.curator.reload()
        assert [list(app.engine.registry) for app in bench.apps] == before
        assert bench.curator.plan.number == 1


async def test_new_content_of_a_version_takes_the_place_of_the_old(tmp_path: Path) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1")
        await bench.curator.open()
        before = bench.curator.plan.bundles[0].digest
        write_tiny_bundle(bench.models, Tiny(version="1", shift=3))
        await bench.curator.reload()
        assert bench.served() == ["faces/1"]
        assert bench.curator.plan.bundles[0].digest != before


async def test_a_damaged_bundle_never_takes_the_place_of_a_good_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1")
        await bench.curator.open()
        before = [list(app.engine.registry) for app in bench.apps]
        spoil(bench.models / "faces" / "1")
        await bench.curator.reload()
        assert [list(app.engine.registry) for app in bench.apps] == before
        assert bench.refused == [ONE]
        serving, refused = sorted(bench.curator.status().models, key=lambda m: m.state.value)[::-1]
        assert (serving.state, refused.state) == (State.SERVING, State.REFUSED)
        assert f"{bench.models}/faces/1/encode.onnx: SHA-256" in refused.reason
    (record,) = [r for r in caplog.records if r.message == "bundle refused"]
    assert vars(record)["reason"] == refused.reason


async def test_a_bundle_that_only_its_session_refuses_is_named_by_its_own_folder(
    tmp_path: Path,
) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1")
        write_tiny_bundle(bench.models, Tiny(version="2", broken="graph"))
        await bench.curator.open()
        assert bench.served() == ["faces/1"]
        (refused,) = [m for m in bench.curator.status().models if m.state is State.REFUSED]
        assert refused.key == TWO
        assert refused.reason.startswith(f"{bench.models}/faces/2: encode.onnx: ONNX Runtime")
        assert [path.name for path in bench.copies.iterdir()] == ["faces-1-1"]


async def test_a_bundle_that_is_half_there_is_served_once_it_is_whole(tmp_path: Path) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1", "2")
        whole = bench.models / "faces" / "2"
        graph = (whole / "encode.onnx").read_bytes()
        (whole / "encode.onnx").write_bytes(graph[:100])
        await bench.curator.open()
        assert bench.served() == ["faces/1"]
        (whole / "encode.onnx").write_bytes(graph)
        await bench.curator.reload()
        assert bench.served() == ["faces/1", "faces/2"]
        assert bench.states() == [("faces/1", State.SERVING), ("faces/2", State.SERVING)]


async def test_the_default_model_goes_on_without_its_folder_and_in_new_workers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with curated(tmp_path) as bench, curated(tmp_path / "new", workers=1) as new:
        write(bench, "1")
        write_tiny_bundle(bench.models, Tiny(name="other"))
        await bench.curator.open()
        shutil.rmtree(bench.models / "faces")
        for _ in range(3):
            await bench.curator.reload()
        assert bench.served() == ["faces/1", "other/1"]
        assert bench.curator.status().models[0].reason == "its folder is gone"
        await bench.curator.join(new.workers[0])
        assert new.served() == ["faces/1", "other/1"]
    said = [r for r in caplog.records if r.message == "models whose folders are gone stay"]
    assert [vars(r)["models"] for r in said] == [["faces/1"]]


async def test_what_is_taken_out_is_closed_once_its_requests_are_answered(tmp_path: Path) -> None:
    async with curated(tmp_path, workers=1) as bench:
        write(bench, "1", "2")
        await bench.curator.open()
        old = bench.apps[0].engine.registry.resolve("faces", "1")
        model = weakref.ref(old.model)
        with old:
            with old:
                order = asyncio.create_task(bench.curator.unload(ONE))
                await until(lambda: ("faces/1", State.DRAINING) in bench.states())
            await asyncio.sleep(0)
            assert bench.served() == ["faces/2"]
            assert bench.states()[0] == ("faces/1", State.DRAINING)
            assert not order.done()
        del old
        await order
        gc.collect()
        assert model() is None
        assert [path.name for path in bench.copies.iterdir()] == ["faces-2-2"]
        assert bench.states() == [("faces/1", State.UNLOADED), ("faces/2", State.SERVING)]


async def test_an_order_is_carried_through_though_whoever_gave_it_has_left(tmp_path: Path) -> None:
    async with curated(tmp_path, workers=1) as bench:
        write(bench, "1", "2")
        await bench.curator.open()
        with bench.apps[0].engine.registry.resolve("faces", "1"):
            order = asyncio.create_task(bench.curator.unload(ONE))
            await until(lambda: bench.served() == ["faces/2"])
            order.cancel()
        await until(lambda: bench.states()[0] == ("faces/1", State.UNLOADED))


async def test_loading_by_order_opens_a_bundle_anew_though_it_is_the_same(tmp_path: Path) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1")
        await bench.curator.open()
        before = list(bench.apps[0].engine.registry)
        await bench.curator.load(ONE)
        assert list(bench.apps[0].engine.registry) != before
        assert bench.served() == ["faces/1"]


async def test_loading_by_order_brings_back_what_was_unloaded(tmp_path: Path) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1", "2")
        await bench.curator.open()
        await bench.curator.unload(TWO)
        await bench.curator.reload()
        assert bench.served() == ["faces/1"]
        await bench.curator.load(TWO)
        assert bench.served() == ["faces/1", "faces/2"]


async def test_orders_that_cannot_be_carried_out_say_why(tmp_path: Path) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1")
        write_tiny_bundle(bench.models, Tiny(version="2", broken="run"))
        await bench.curator.open()
        with pytest.raises(BundleError, match=r"encode\.onnx: fails on 3 rows"):
            await bench.curator.load(TWO)
        with pytest.raises(ModelNotFound, match="no folder faces/3; there are: faces/1, faces/2"):
            await bench.curator.load(ModelKey("faces", "3"))
        with pytest.raises(OrderRefused):
            await bench.curator.unload(ONE)
        assert bench.served() == ["faces/1"]


async def test_traffic_is_split_in_all_workers_by_weight(tmp_path: Path) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1", "2", "3")
        await bench.curator.open()
        await bench.curator.split("faces", {"1": 3, "2": 1})
        for app in bench.apps:
            registry = app.engine.registry
            chosen = [registry.route("", "").manifest.version for _ in range(8)]
            assert (chosen.count("1"), chosen.count("2"), chosen.count("3")) == (6, 2, 0)
            assert registry.route("faces", "3").manifest.version == "3"
            assert [registry.is_default(one) for one in registry] == [True, True, False]
        await bench.curator.unload(TWO)
        assert bench.apps[0].engine.registry.route("", "").manifest.version == "1"
        await bench.curator.unload(ONE)
        assert bench.apps[0].engine.registry.route("", "").manifest.version == "3"
        await bench.curator.split("faces", {})
        assert bench.curator.status().traffic == {}


async def test_a_worker_that_joins_late_serves_what_the_others_do(tmp_path: Path) -> None:
    async with curated(tmp_path) as bench, curated(tmp_path / "new", workers=1) as new:
        write(bench, "1", "2")
        await bench.curator.open()
        spoil(bench.models / "faces" / "2")
        await bench.curator.reload()
        await bench.curator.split("faces", {"1": 1})
        await bench.curator.join(new.workers[0])
        assert new.served() == ["faces/1", "faces/2"]
        assert new.apps[0].engine.registry.route("", "").manifest.version == "1"


async def test_a_bundle_that_ends_two_workers_is_refused_and_the_others_never_open_it(
    tmp_path: Path,
) -> None:
    async with curated(tmp_path) as bench, curated(tmp_path / "new", workers=1) as new:
        write(bench, "1")
        await bench.curator.open()
        for worker in (*bench.workers, *new.workers):
            worker.dies_on = TWO
        write(bench, "2")
        with pytest.raises(ServiceUnavailable, match="faces/2: a worker process ended while"):
            await bench.curator.reload()
        assert bench.curator.status().workers == 1
        assert list(bench.copies.iterdir()) == [bench.copies / "faces-1-1"]
        await bench.curator.join(new.workers[0])
        await bench.curator.reload()
        assert bench.refused == [TWO]
        assert bench.workers[0].opened == [ONE]
        assert bench.served() == ["faces/1"]
        assert bench.curator.status().workers == 1


async def test_nothing_more_is_tried_before_a_worker_that_a_bundle_has_ended_is_replaced(
    tmp_path: Path,
) -> None:
    async with curated(tmp_path, workers=3) as bench, curated(tmp_path / "new", workers=2) as new:
        write(bench, "1")
        await bench.curator.open()
        bench.workers[2].dies_on = new.workers[0].dies_on = TWO
        write(bench, "2", "3")
        with pytest.raises(ServiceUnavailable, match="faces/2: a worker process ended while"):
            await bench.curator.reload()
        for number, replacement in enumerate(new.workers):
            with pytest.raises(ServiceUnavailable, match="in the place of one that has ended"):
                await bench.curator.reload()
            assert bench.curator.status().workers == 2
            await bench.curator.join(replacement)
            if number == 0:  # it ends too, and the other bundle waits for the next
                with pytest.raises(ServiceUnavailable, match="in the place of one that has ended"):
                    await bench.curator.reload()
                assert bench.refused == [TWO]
        await bench.curator.load(ModelKey("faces", "3"))
        assert bench.states() == [
            ("faces/1", State.SERVING),
            ("faces/2", State.REFUSED),
            ("faces/3", State.SERVING),
        ]


async def test_a_bundle_that_a_worker_did_not_survive_by_chance_is_opened_by_the_next(
    tmp_path: Path,
) -> None:
    async with curated(tmp_path, workers=1) as bench, curated(tmp_path / "new", workers=1) as new:
        write(bench, "1")
        await bench.curator.open()
        bench.workers[0].dies_on = TWO
        write(bench, "2")
        for problem in ("a worker process ended", "no worker process is there"):
            with pytest.raises(ServiceUnavailable, match=problem):
                await bench.curator.reload()
        await bench.curator.join(new.workers[0])
        await bench.curator.reload()
        assert new.served() == ["faces/1", "faces/2"]


async def test_a_worker_that_ends_while_others_open_is_forgotten(tmp_path: Path) -> None:
    async with curated(tmp_path, workers=2) as bench:
        write(bench, "1")
        await bench.curator.open()
        bench.workers[0].dies_on = TWO
        write(bench, "2")
        await bench.curator.reload()
        assert bench.curator.status().workers == 1
        assert [str(ref.key) for ref in bench.curator.plan.bundles] == ["faces/1", "faces/2"]


async def test_a_bundle_that_never_opens_is_refused_in_the_end(tmp_path: Path) -> None:
    async with curated(tmp_path, workers=1, patience=0.05) as bench:
        bench.workers[0].hangs = True
        write(bench, "1")
        with pytest.raises(ConfigError):
            await bench.curator.open()
        assert bench.curator.status().models[0].reason.endswith("not open after 0.05 s")


async def test_what_was_refused_is_tried_again_by_order_alone(tmp_path: Path) -> None:
    async with curated(tmp_path, workers=1) as bench:
        write(bench, "1", "2")
        bench.workers[0].refuses = TWO
        await bench.curator.open()
        bench.workers[0].refuses = None
        watching = asyncio.create_task(bench.curator.watch(0.01))
        write(bench, "3")
        await until(lambda: bench.served() == ["faces/1", "faces/3"])
        watching.cancel()
        await bench.curator.reload()
        assert bench.served() == ["faces/1", "faces/2", "faces/3"]


async def test_a_bundle_that_one_worker_refuses_is_closed_by_those_that_opened_it(
    tmp_path: Path,
) -> None:
    async with curated(tmp_path) as bench:
        write(bench, "1")
        await bench.curator.open()
        bench.workers[0].refuses = TWO
        write(bench, "2")
        await bench.curator.reload()
        assert bench.refused == [TWO]
        gc.collect()
        versions = [o.manifest.version for o in gc.get_objects() if type(o) is Model]
        assert "2" not in versions


async def test_a_version_that_is_unloaded_while_its_folder_is_read_stays_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with curated(tmp_path, workers=1) as bench:
        write(bench, "1", "2")
        await bench.curator.open()
        reading, read = threading.Event(), threading.Event()

        def verify(folder: Path) -> Bundle:
            reading.set()
            read.wait()
            return open_bundle(folder)

        monkeypatch.setattr(store, "open_bundle", verify)
        write_tiny_bundle(bench.models, Tiny(version="2", shift=3))
        order = asyncio.create_task(bench.curator.reload())
        await until(reading.is_set)
        await bench.curator.unload(TWO)
        read.set()
        await order
        assert bench.served() == ["faces/1"]
        assert len(list(bench.copies.iterdir())) == 1


async def test_a_folder_that_is_back_is_not_called_gone_any_more(tmp_path: Path) -> None:
    async with curated(tmp_path, workers=1) as bench:
        write(bench, "1")
        write_tiny_bundle(bench.models, Tiny(name="other"))
        await bench.curator.open()
        (bench.models / "faces").rename(tmp_path / "away")
        await bench.curator.reload()
        (tmp_path / "away").rename(bench.models / "faces")
        await bench.curator.reload()
        assert [one.reason for one in bench.curator.status().models] == ["", ""]
        assert bench.curator.plan.number == 1


async def test_an_unreadable_directory_is_complained_of_once_while_serving_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def look(folder: Path) -> Sight:
        looks.append(folder)
        return scan(folder)

    monkeypatch.setattr(watch, "scan", look)
    async with curated(tmp_path, workers=1) as bench:
        write(bench, "1")
        await bench.curator.open()
        bench.models.rename(tmp_path / "elsewhere")
        with caplog.at_level(logging.WARNING):
            watching = asyncio.create_task(bench.curator.watch(0.01))
            await until(lambda: len(looks) > 5)
            (tmp_path / "elsewhere").rename(bench.models)
            write(bench, "2")
            await until(lambda: bench.served() == ["faces/1", "faces/2"])
        watching.cancel()
    assert [r.message for r in caplog.records] == ["models cannot be followed"]
    assert "No such file or directory" in vars(caplog.records[0])["reason"]
