"""Several models and versions side by side; bad bundles among good ones."""

import json
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from evenface.v1.model_service_pb2 import ListModelsRequest
from evenface_core.errors import ConfigError
from grpc import StatusCode
from support.bundles import Tiny, expected_mean, images, variants, write_tiny_bundle
from support.messages import array, details, encode
from support.servers import running


async def test_models_and_versions_are_served_side_by_side(tmp_path: Path) -> None:
    served = [*variants(Tiny(), "1.9", "1.10"), Tiny(name="other", shift=5)]
    for tiny in served:
        write_tiny_bundle(tmp_path, tiny)
    pictures = images(2)
    async with running(tmp_path) as server:
        for tiny in served:
            request = encode(pictures, model=tiny.name, version=tiny.version)
            reply = await server.face.Encode(request)
            assert (reply.model, reply.version) == (tiny.name, tiny.version)
            np.testing.assert_allclose(
                array(reply.mean), expected_mean(pictures, tiny.shift), atol=1e-5
            )
        newest = await server.face.Encode(encode(pictures))
        listed = await server.model.ListModels(ListModelsRequest())
    assert (newest.model, newest.version) == ("faces", "1.10")
    assert [(m.name, m.version, m.is_default) for m in listed.models] == [
        ("faces", "1.9", False),
        ("faces", "1.10", True),
        ("other", "1", False),
    ]


async def test_the_default_model_can_be_set(tmp_path: Path) -> None:
    for name in ("faces", "other"):
        write_tiny_bundle(tmp_path, Tiny(name=name))
    async with running(tmp_path, default_model="other") as server:
        assert (await server.face.Encode(encode(images(1)))).model == "other"


async def test_without_a_default_requests_must_name_a_model(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_tiny_bundle(tmp_path, Tiny(name=name))
    async with running(tmp_path) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.face.Encode(encode(images(1)))
        assert caught.value.code() is StatusCode.NOT_FOUND
        assert "there are: one, two" in details(caught.value).message
        assert (await server.face.Encode(encode(images(1), model="two"))).model == "two"


def _flip_a_byte(bundle: Path) -> None:
    data = bytearray((bundle / "encode.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "encode.onnx").write_bytes(data)


def _remove_a_file(bundle: Path) -> None:
    (bundle / "decode.onnx").unlink()


def _another_schema(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 2}))


def _another_place(bundle: Path) -> None:
    bundle.rename(bundle.with_name("3"))


@pytest.mark.parametrize(
    ("tiny", "spoil", "reason"),
    [
        (Tiny(), _flip_a_byte, "SHA-256"),
        (Tiny(), _remove_a_file, "No such file"),
        (Tiny(), _another_schema, "schema version 2"),
        (Tiny(), _another_place, "its manifest says"),
        (Tiny(broken="domain"), None, "operator domain 'com.microsoft'"),
        (Tiny(broken="shape"), None, "'images' uint8[1, 16, 16, 3], expected"),
        (Tiny(broken="manifest"), None, "'mean' float32[batch, 5], expected"),
        (Tiny(broken="external"), None, "weights outside of the file"),
    ],
)
async def test_a_bad_bundle_is_refused_with_its_reason_while_others_serve(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    tiny: Tiny,
    spoil: object,
    reason: str,
) -> None:
    write_tiny_bundle(tmp_path)
    bad = write_tiny_bundle(tmp_path, replace(tiny, version="2"))
    if callable(spoil):
        spoil(bad)
    async with running(tmp_path) as server:
        assert (await server.face.Encode(encode(images(1)))).version == "1"
    (record,) = [r for r in caplog.records if r.message == "bundle refused"]
    assert reason in vars(record)["reason"]


async def test_hidden_folders_and_files_are_no_models(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    write_tiny_bundle(tmp_path, Tiny(version="2")).rename(tmp_path / "faces" / ".2.partly")
    (tmp_path / ".git" / "1").mkdir(parents=True)
    (tmp_path / "README.md").write_text("not a model")
    async with running(tmp_path) as server:
        assert len((await server.model.ListModels(ListModelsRequest())).models) == 1


async def test_no_good_bundle_at_all_is_an_error(tmp_path: Path) -> None:
    _flip_a_byte(write_tiny_bundle(tmp_path))
    with pytest.raises(ConfigError, match="no usable bundle"):
        async with running(tmp_path):
            pass


async def test_an_unknown_default_model_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'faces'"):
        async with running(tmp_path, default_model="fases"):
            pass
