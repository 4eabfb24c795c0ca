"""Models that are held while requests run."""

import asyncio
from pathlib import Path

from support.bundles import write_tiny_bundle
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
