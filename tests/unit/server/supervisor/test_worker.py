"""What a worker tells its supervisor."""

import asyncio
import socket
from pathlib import Path

import pytest
from evenface_server import worker as module
from evenface_server.logs import CallLog
from evenface_server.settings import Settings
from evenface_server.supervisor.channel import Channel
from evenface_server.supervisor.messages import Connection, Message, Ready, Report, Start, Stop
from evenface_server.worker import Worker


async def test_a_connection_that_is_gone_is_told_at_once_so_that_the_next_go_where_fewest_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(module, "configure_logging", lambda *_, **__: CallLog(None))
    heard: asyncio.Queue[Message] = asyncio.Queue()
    ours, theirs = socket.socketpair()
    channel = Channel(ours, lambda message, _: heard.put_nowait(message), lambda: None)
    working = asyncio.create_task(Worker(theirs).run())
    settings = Settings.model_validate({"device": "cpu", "session_threads": 1})
    channel.send(Start(settings.model_dump(mode="json"), 0, str(tmp_path)))
    assert isinstance(await heard.get(), Ready)
    await heard.get()  # the report with which it begins
    peer, given = socket.socketpair()
    with peer:
        channel.send(Connection(), given)
        await asyncio.get_running_loop().run_in_executor(None, peer.recv, 1)
    report = await asyncio.wait_for(heard.get(), 30)
    assert isinstance(report, Report)
    assert (report.adopted, report.connections) == (1, 0)
    channel.send(Stop())
    await working
    channel.close()
    theirs.close()
