"""A worker process, as its supervisor sees it."""

import asyncio
from pathlib import Path

import pytest
from evenface_server.models.rollout import WorkerGone
from evenface_server.settings import Settings
from evenface_server.supervisor.messages import Message, Ready, Start
from evenface_server.supervisor.process import WorkerProcess


async def test_a_worker_that_cannot_do_what_it_is_asked_is_ended(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ready = asyncio.Event()

    def hear(_: WorkerProcess, message: Message) -> None:
        if isinstance(message, Ready):
            ready.set()

    worker = WorkerProcess(0, hear)
    settings = Settings.model_validate({"device": "cpu", "session_threads": 1})
    try:
        worker.send(Start(settings.model_dump(mode="json"), 0, str(tmp_path)))
        await ready.wait()
        with pytest.raises(WorkerGone):
            await worker.ask("models.dance", None)
    except BaseException:
        worker.kill()
        raise
    finally:
        await worker.ended()
    assert worker.exit_code == -9
    assert "'models.dance' is nothing that a loader does" in capfd.readouterr().out
