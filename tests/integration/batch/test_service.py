"""The engine of a running service: real servers, that are overloaded, restarted, or gone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from evenface.v1 import (
    common_pb2,
    face_service_pb2,
    face_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
)
from evenface_batch.engines.asking import Silence
from evenface_batch.engines.model import LocalModel
from evenface_batch.engines.service import Service, ServiceEngine
from evenface_batch.inputs.files import FilePlaces
from evenface_batch.items import Chunk
from evenface_batch.output import Output
from evenface_batch.parts import Form
from evenface_batch.scoring import score_chunk
from evenface_client import Client, Unavailable
from evenface_core.bundle import open_bundle
from evenface_core.errors import JobError
from PIL import Image
from support.bundles import LATENT, Tiny, images, write_tiny_bundle
from support.image_files import animated, png
from support.ports import free_port
from support.servers import ServerProcess, grpc_server, server_process

COUNT = 24
SLOW = Tiny(encode_seconds=0.08)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the tiny model's size."""
    path = tmp_path_factory.mktemp("pictures")
    for number, image in enumerate(images(COUNT)):
        Image.fromarray(image).save(path / f"{number:02}.png")
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_tiny_bundle(root)
    write_tiny_bundle(root, Tiny(name="seer", functions=("encode", "decode")))
    write_tiny_bundle(root, Tiny(name="judge", functions=("classify",), attribute_vectors=()))
    return root


@pytest.fixture(scope="module")
def slow_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("slow")
    write_tiny_bundle(root, SLOW)
    return root


@pytest.fixture(scope="module")
def address(models: Path) -> Iterator[str]:
    with server_process(models) as server:
        yield server.address


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(str(tmp_path / "out"), Form(LATENT, "float32"))


def chunks_of(folder: Path, size: int) -> list[Chunk]:
    names = sorted(path.name for path in folder.iterdir())
    parts = [tuple(names[start : start + size]) for start in range(0, len(names), size)]
    return [Chunk(number, FilePlaces(f"{folder}/", "", part)) for number, part in enumerate(parts)]


def rows(output: Output) -> list[dict[str, Any]]:
    return [row for index in output.parts() for row in output.read(index).to_pylist()]


def assert_whole(output: Output) -> None:
    """Every image has its row, and none an error."""
    found = rows(output)
    assert [row["id"] for row in found] == [f"{number:02}.png" for number in range(COUNT)]
    assert {row["error"] for row in found} == {None}


def test_a_service_gives_the_rows_that_the_bundle_gives_here(
    tmp_path: Path, models: Path, address: str, output: Output
) -> None:
    good = [png(image) for image in images(5, seed=3)]
    bad = [b"", b"no image", animated(images(1)[0]), good[0][:60], png(images(1, size=400)[0])]
    for number, data in enumerate([x for pair in zip(good, bad, strict=True) for x in pair]):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.png").write_bytes(data)
    [chunk] = chunks_of(tmp_path / "in", 99)
    engine = ServiceEngine(Service((address,)), workers=2)
    facts = engine.model()
    assert (facts.name, facts.version, facts.latent_size, facts.classifies) == (
        "faces", "1", LATENT, True,
    )  # fmt: skip
    [done] = engine.run([chunk], output)
    here = Output(str(tmp_path / "here"), output.form)
    local = LocalModel(models / "faces" / "1")
    assert done == score_chunk(chunk, local.open(), here)
    assert done.failed == 4
    for ours, theirs in zip(rows(output), rows(here), strict=True):
        assert (ours["id"], ours["error"]) == (theirs["id"], theirs["error"])
        if ours["error"] is None:
            np.testing.assert_allclose(ours["mean"], theirs["mean"], rtol=1e-5)
            assert ours["logit"] == pytest.approx(theirs["logit"], rel=1e-5)
            assert ours["probability"] == pytest.approx(theirs["probability"], rel=1e-5)


def test_a_model_without_classifier_gives_means_alone(
    folder: Path, address: str, output: Output
) -> None:
    engine = ServiceEngine(Service((address,), model="seer"))
    assert not engine.model().classifies
    assert len(list(engine.run(chunks_of(folder, 12), output))) == 2
    assert_whole(output)
    assert {(row["logit"], row["probability"]) for row in rows(output)} == {(None, None)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"model": "judge"}, "judge/1: this model cannot encode; it can classify"),
        ({"model": "nobody"}, "nobody"),
        ({"version": "7"}, "7"),
    ],
)
def test_a_model_that_cannot_be_used_is_named_before_anything_is_read(
    address: str, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(JobError, match=expected):
        ServiceEngine(Service((address,), **options)).model()


def refusals(server: ServerProcess) -> int:
    return sum(line.get("code") == "RESOURCE_EXHAUSTED" for line in tuple(server.lines))


def test_a_service_with_hardly_any_room_slows_the_job_down_and_fails_no_image(
    folder: Path, slow_models: Path, output: Output
) -> None:
    small = ("--max-items-per-request", "2", "--max-queue-rows", "2", "--workers", "1")
    with server_process(slow_models, *small) as server:
        engine = ServiceEngine(Service((server.address,)), workers=4)
        assert len(list(engine.run(chunks_of(folder, 4), output))) == 6
        server.end()
    assert_whole(output)
    assert refusals(server) > 6


def test_a_server_that_is_killed_is_waited_for_as_long_as_patience_lasts(
    folder: Path,
    slow_models: Path,
    port: int,
    output: Output,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options, target = ("--port", str(port), "--workers", "1"), f"127.0.0.1:{port}"
    patient = ServiceEngine(Service((target,)), workers=2)
    hasty = ServiceEngine(Service((target,), patience=0.3), workers=2)
    chunks, other = chunks_of(folder, 2), Output(str(tmp_path / "other"), output.form)
    with server_process(slow_models, *options) as server:
        assert server.address
        run, hasty_run = patient.run(chunks, output), hasty.run(chunks, other)
        next(run)
        next(hasty_run)
        server.process.kill()
        server.process.wait()
    expected = rf"^{target}: no answer for 0.3 s \(.*\); go on later with --resume$"
    with pytest.raises(JobError, match=expected):
        list(hasty_run)
    left = [chunk for chunk in chunks if chunk.index not in other.parts()]
    assert 1 <= len(left) < len(chunks)
    with server_process(slow_models, *options):
        assert len(list(run)) == len(chunks) - 1
        list(patient.run(left, other))
    assert_whole(output)
    assert_whole(other)
    said = capsys.readouterr().err
    assert f"{target}: " in said
    assert "; waiting for 300 s at most" in said


def test_of_two_servers_one_may_go_for_good(
    folder: Path, models: Path, address: str, output: Output
) -> None:
    with server_process(models, "--workers", "1") as server:
        engine = ServiceEngine(Service((server.address, address), patience=5), workers=2)
        run = engine.run(chunks_of(folder, 2), output)
        next(run)
        server.process.kill()
        assert len(list(run)) == 11
    assert_whole(output)


def test_a_model_that_is_taken_out_ends_the_job(
    folder: Path, tmp_path: Path, address: str, output: Output
) -> None:
    write_tiny_bundle(tmp_path, Tiny(version="2"))
    with server_process(tmp_path) as server:
        # The second server has another version, as one has from which ours was taken meanwhile.
        engine = ServiceEngine(Service((address, server.address), patience=5), workers=1)
        engine.model()
        with pytest.raises(JobError, match=r"^the service cannot score: "):
            list(engine.run(chunks_of(folder, 2), output))


def test_a_bundle_that_is_replaced_under_its_version_ends_the_job(
    folder: Path, tmp_path: Path, output: Output
) -> None:
    write_tiny_bundle(tmp_path)
    with server_process(tmp_path, "--watch-interval", "0.05") as server:
        engine = ServiceEngine(Service((server.address,)), workers=1)
        begun = engine.model().digest
        assert begun == open_bundle(tmp_path / "faces" / "1").digest
        run = engine.run(chunks_of(folder, 2), output)
        next(run)
        write_tiny_bundle(tmp_path, Tiny(shift=1.0))
        with Client(server.address) as client:
            server.wait_until(lambda: client.model("faces").info.manifest_digest != begun)
        with pytest.raises(JobError, match=r"^faces/1: this bundle was replaced: .* with \w{12}…;"):
            list(run)
        with pytest.raises(StopIteration):
            next(run)
        assert 1 <= len(output.parts()) <= 2
        assert ServiceEngine(Service((server.address,))).model().digest != begun


def test_closing_the_run_ends_its_threads_and_leaves_nothing_half_written(
    folder: Path, address: str, output: Output
) -> None:
    run = ServiceEngine(Service((address,)), workers=4).run(chunks_of(folder, 1), output)
    next(run)
    run.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("evenface-batch")]
    assert output.folder.names("unfinished") == []
    assert 1 <= len(output.parts()) <= 5


@dataclass
class Moody(face_service_pb2_grpc.FaceServiceServicer, model_service_pb2_grpc.ModelServiceServicer):
    """A real gRPC server that fails inside at some images."""

    spoilt: frozenset[bytes]
    sizes: list[int] = field(default_factory=list)

    def GetModel(  # noqa: N802 - gRPC's name
        self, request: model_service_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.GetModelResponse:
        del request, context
        return model_service_pb2.GetModelResponse(model=self._model())

    def ListModels(  # noqa: N802
        self, request: model_service_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.ListModelsResponse:
        del request, context
        limits = model_service_pb2.Limits(
            max_items_per_request=64, max_message_bytes=2**20, max_pixels_per_image=10**6
        )
        return model_service_pb2.ListModelsResponse(models=[self._model()], limits=limits)

    def Encode(  # noqa: N802
        self, request: face_service_pb2.EncodeRequest, context: grpc.ServicerContext
    ) -> face_service_pb2.EncodeResponse:
        files = request.images.encoded.data
        self.sizes.append(len(files))
        if self.spoilt & set(files):
            context.abort(grpc.StatusCode.INTERNAL, "internal error")
        values = np.ones((len(files), LATENT), np.float32)
        tensor = common_pb2.Tensor(
            data=values.tobytes(), shape=values.shape, data_type=common_pb2.DATA_TYPE_FLOAT32
        )
        return face_service_pb2.EncodeResponse(
            model="faces", version="1", mean=tensor, log_variance=tensor
        )

    @staticmethod
    def _model() -> model_service_pb2.Model:
        return model_service_pb2.Model(
            name="faces",
            version="1",
            latent_size=LATENT,
            functions=[model_service_pb2.MODEL_FUNCTION_ENCODE],
        )


def moody(*spoilt: bytes) -> Moody:
    return Moody(frozenset(spoilt))  # type: ignore[abstract]  # gRPC answers what is not there


@contextmanager
def serving(moody: Moody) -> Iterator[str]:
    with grpc_server() as (server, address):
        face_service_pb2_grpc.add_FaceServiceServicer_to_server(moody, server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(moody, server)
        server.start()
        yield address


def test_an_image_that_the_service_fails_on_has_an_error_and_costs_no_other(
    folder: Path, output: Output
) -> None:
    spoilt = (folder / "03.png").read_bytes()
    with serving(moody(spoilt)) as address:
        list(ServiceEngine(Service((address,)), workers=1).run(chunks_of(folder, 6), output))
    found = rows(output)
    assert [row["id"] for row in found if row["error"]] == ["03.png"]
    assert found[3]["error"] == "the service fails on it: internal error"
    assert [row["mean"] for row in found if not row["error"]] == [[1.0] * LATENT] * (COUNT - 1)


def test_a_service_that_fails_on_every_image_ends_the_job(folder: Path, output: Output) -> None:
    every = [path.read_bytes() for path in folder.iterdir()]
    with serving(moody(*every)) as address:
        engine = ServiceEngine(Service((address,)), workers=1)
        with pytest.raises(JobError, match=r"^the service fails on every image: internal error$"):
            list(engine.run(chunks_of(folder, 4), output))
    assert output.parts() == []


def test_silence_is_news_once_and_ends_with_any_answer(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 9.0, 12.0, 21.9, 22.0])
    silence = Silence(10.0, lambda: next(times))
    for _ in range(2):
        silence.note("there", Unavailable("gone"))
    assert capsys.readouterr().err.count("there: gone; waiting for 10 s at most") == 1
    silence.broken()
    for _ in range(2):
        silence.note("there", Unavailable("gone"))
    with pytest.raises(JobError, match=r"there: no answer for 10 s \(gone\)"):
        silence.note("there", Unavailable("gone"))
