"""A loader behind a line that carries JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
from evenface_server.models.plan import ModelKey
from evenface_server.models.remote import RemoteLoader, carry_out
from support.bundles import Tiny, variants, write_tiny_bundle
from support.curators import curated


async def test_a_remote_loader_does_what_one_at_hand_would(tmp_path: Path) -> None:
    async with curated(tmp_path, workers=1) as bench, curated(tmp_path / "far", workers=1) as far:

        async def ask(what: str, arguments: Any) -> Any:  # noqa: ANN401 - JSON
            answer = await carry_out(
                far.apps[0].loader, json.loads(json.dumps(what)), json.loads(json.dumps(arguments))
            )
            return json.loads(json.dumps(answer))

        for tiny in (*variants(Tiny(), "1", "2"), Tiny(version="3", broken="run")):
            write_tiny_bundle(bench.models, tiny)
        await bench.curator.join(RemoteLoader(ask))
        await bench.curator.open()
        await bench.curator.split("faces", {"1": 1})
        assert far.served() == bench.served() == ["faces/1", "faces/2"]
        assert far.apps[0].engine.registry.route("", "").manifest.version == "1"
        await bench.curator.unload(ModelKey("faces", "2"))
        assert far.served() == ["faces/1"]


async def test_what_no_loader_does_is_an_error(tmp_path: Path) -> None:
    async with curated(tmp_path, workers=1) as bench:
        with pytest.raises(ValueError, match=r"'models\.dance'"):
            await carry_out(bench.apps[0].loader, "models.dance", None)
