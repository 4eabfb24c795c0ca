"""Models that are held while requests run."""

import asyncio
from pathlib import Path

from support.bundles import Tiny, write_tiny_bundle
from support.curators import curated


async def test_a_model_is_idle_once_the_last_that_held_it_has_let_go(tmp_path: Path) -> None:
    async with curated(tmp_path, workers=1) as bench:
        write_tiny_bundle(bench.models)
        await bench.curator.open()
        served = bench.apps[0].engine.registry.route("", "")
        with served:
            with served:
                idle = asyncio.create_task(served.idle())
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not idle.done()
        await idle


async def test_the_models_that_may_get_a_request_are_known_before_one_is_chosen(
    tmp_path: Path,
) -> None:
    async with curated(tmp_path, workers=1) as bench:
        for name, version in (("a", "1"), ("a", "2"), ("b", "1")):
            write_tiny_bundle(bench.models, Tiny(name=name, version=version))
        await bench.curator.open()
        registry = bench.apps[0].engine.registry

        def found(name: str, version: str = "") -> list[str]:
            served = registry.candidates(name, version)
            return sorted(f"{each.manifest.name}/{each.manifest.version}" for each in served)

        registry.swap(list(registry), "b", {})
        assert found("") == ["b/1"]
        assert found("a") == ["a/2"]
        assert found("a", "1") == ["a/1"]
        assert found("a", "3") == found("c") == []
        registry.swap(list(registry), None, {"a": {"1": 9, "2": 1}})
        assert found("a") == ["a/1", "a/2"]
        assert found("a", "2") == ["a/2"]
        assert found("") == []
