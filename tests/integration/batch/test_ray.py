"""The engine of a Ray cluster: a real one on this machine, started once for this file."""

import os
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from evenface_batch.engines import cluster
from evenface_batch.engines.cluster import connected
from evenface_batch.engines.local import LocalEngine
from evenface_batch.engines.model import LocalModel
from evenface_batch.engines.ray_data import RayEngine
from evenface_batch.inputs.files import FilePlaces
from evenface_batch.items import Chunk
from evenface_batch.output import Output
from evenface_batch.parts import Form
from evenface_batch.scoring import Done
from evenface_core.errors import JobError
from support.batch_places import Deadly
from support.bundles import LATENT
from support.datasets import jpeg, write_jpegs

pytestmark = [
    # Without importing it: what it listens on is settled as it is imported.
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # for `support` in workers
        with connected(None, 2, 0.0) as found:
            yield found


@pytest.fixture
def engine(ray: object, tiny_models: Path) -> RayEngine:
    del ray
    return RayEngine(LocalModel(tiny_models / "faces" / "1"), workers=2)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(str(tmp_path / "out"), Form(LATENT, "float32"))


def files(folder: Path, *names: str) -> FilePlaces:
    return FilePlaces(f"{folder}/", "", names)


def test_a_cluster_gives_the_rows_that_processes_here_give(
    tmp_path: Path,
    tiny_models: Path,
    engine: RayEngine,
    output: Output,
    capfd: pytest.CaptureFixture[str],
) -> None:
    names = [f"{number}.jpg" for number in range(20)]
    write_jpegs(tmp_path, names)
    (tmp_path / "4.jpg").write_text("no image")
    chunks = [Chunk(n, files(tmp_path, *names[4 * n : 4 * n + 4])) for n in range(5)]
    done = set(engine.run(chunks, output))
    assert done == {Done(0, 4, 0), Done(1, 4, 1), *(Done(n, 4, 0) for n in (2, 3, 4))}
    here = Output(str(tmp_path / "here"), output.form)
    list(LocalEngine(LocalModel(tiny_models / "faces" / "1"), workers=1).run(chunks, here))
    for chunk in chunks:
        assert output.read(chunk.index).equals(here.read(chunk.index))
    assert capfd.readouterr() == ("", "")


def listening(process: str) -> set[str]:
    """Addresses that processes of this session's listen on, by what /proc says of their sockets."""
    sockets = set()
    for link in Path(f"/proc/{process}/fd").glob("*"):
        try:
            sockets.add(os.readlink(link))  # noqa: PTH115 - a name, no path
        except OSError:
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                words = bytes.fromhex(fields[1].partition(":")[0])
                data = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
                family = socket.AF_INET if table == "tcp" else socket.AF_INET6
                found.add(socket.inet_ntop(family, data))
    return found


def below(process: str) -> set[str]:
    """A process and all that it has started."""
    found = {process}
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            found |= below(child)
    return found


def test_a_cluster_that_a_job_starts_listens_on_this_machine_alone(engine: RayEngine) -> None:
    del engine
    addresses = {where for process in below(str(os.getpid())) for where in listening(process)}
    assert addresses == {"127.0.0.1", "::ffff:127.0.0.1"}


def test_a_worker_that_dies_is_replaced_and_costs_the_chunks_beside_it_nothing(
    tmp_path: Path, engine: RayEngine, output: Output
) -> None:
    write_jpegs(tmp_path, ["a.jpg"])
    mortal, deadly = (
        Deadly(tmp_path / name, deaths=deaths, data=jpeg(1))
        for name, deaths in (("mortal", 1), ("deadly", 99))
    )
    mortal.marks.mkdir()
    deadly.marks.mkdir()
    others = [Chunk(n, files(tmp_path, "a.jpg")) for n in range(2, 8)]
    done = set(engine.run([Chunk(0, mortal), Chunk(1, deadly), *others], output))
    assert done == {Done(0, 2, 0), Done(1, 2, 2), *(Done(n, 1, 0) for n in range(2, 8))}
    expected = [{"id": name, "error": "worker died, 3 times"} for name in ("first", "second")]
    assert output.read(1, ["id", "error"]).to_pylist() == expected


def test_a_part_that_cannot_be_written_ends_the_job(
    tmp_path: Path, engine: RayEngine, output: Output
) -> None:
    write_jpegs(tmp_path, ["a.jpg"])
    (tmp_path / "out").write_text("a file where the folder would be")
    with pytest.raises(JobError, match="cannot write"):
        list(engine.run([Chunk(0, files(tmp_path, "a.jpg"))], output))


def test_a_job_with_nothing_left_to_do_starts_no_cluster(
    tiny_models: Path, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    engine = RayEngine(LocalModel(tiny_models / "faces" / "1"))
    assert list(engine.run([], output)) == []


def test_a_missing_ray_is_named_with_what_installs_it(
    tmp_path: Path, tiny_models: Path, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    engine = RayEngine(LocalModel(tiny_models / "faces" / "1"))
    with pytest.raises(JobError, match=r"needs Ray: pip install 'evenface\[ray\]'"):
        list(engine.run([Chunk(0, files(tmp_path, "a.jpg"))], output))
