"""The supervisor in this process, with workers in their own: what it does about bad ones."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from evenface_server.settings import Settings
from evenface_server.supervisor.keeper import CrashLoop, Patience
from evenface_server.supervisor.supervisor import Supervisor
from evenface_transport import frames
from support.patience import PATIENCE
from support.servers import until


async def test_connections_beyond_what_workers_take_at_once_wait_and_are_not_closed(
    tiny_models: Path, tmp_path: Path
) -> None:
    settings = Settings.model_validate(
        {"models": tiny_models, "port": 0, "metrics": False, "workers": 1, "device": "cpu"}
    )
    supervisor = Supervisor(settings, tmp_path)
    with ExitStack() as opened:
        try:
            serving = await supervisor.listen()
            host, _, port = serving.address.rpartition(":")
            # All come before the supervisor's event loop gets to see the first.
            callers = [
                opened.enter_context(socket.create_connection((host, int(port)))) for _ in range(50)
            ]
            for caller in callers:
                caller.settimeout(0)
                caller.sendall(frames.PREFACE + frames.settings({}))
                first = await asyncio.wait_for(
                    asyncio.get_running_loop().sock_recv(caller, 1), timeout=PATIENCE
                )
                assert first
        finally:
            await supervisor.stop()


async def test_a_worker_that_hangs_is_replaced(tiny_models: Path, tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"models": tiny_models, "port": 0, "metrics": False, "workers": 2}
    )
    patience = Patience(stuck_seconds=1.0, look_seconds=0.1)
    supervisor = Supervisor(settings, tmp_path, patience=patience)
    try:
        await supervisor.listen()
        hung = supervisor.pool.workers[0]
        os.kill(hung.pid, signal.SIGSTOP)
        await until(lambda: hung not in supervisor.pool.workers)
        await until(lambda: len(supervisor.pool.workers) == 2)
        assert hung.exit_code == -signal.SIGKILL
        assert await supervisor.drain(0.0, 5.0)
    finally:
        await supervisor.stop()


async def test_a_file_that_went_bad_keeps_a_place_empty_and_ends_no_server(
    tiny_models: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.yaml"
    good = f"tokens: [{{name: jobs, sha256: {'a' * 64}}}]"
    tokens.write_text(good)
    settings = Settings.model_validate(
        {"models": tiny_models, "port": 0, "metrics": False, "workers": 2, "tokens_file": tokens}
    )
    supervisor = Supervisor(settings, tmp_path, patience=Patience(deaths=2))
    try:
        await supervisor.listen()
        doomed, kept = supervisor.pool.workers
        tokens.write_text("half of")
        os.kill(doomed.pid, signal.SIGKILL)
        await until(lambda: supervisor.pool.restarts[doomed.place] >= 4)
        assert list(supervisor.pool.workers) == [kept]
        tokens.write_text(good)
        await until(lambda: len(supervisor.pool.workers) == 2)
        assert kept in supervisor.pool.workers
        assert await supervisor.drain(0.0, 5.0)
    finally:
        await supervisor.stop()


async def test_a_worker_that_hangs_as_it_starts_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    settings = Settings.model_validate({"port": 0, "metrics": False, "workers": 1})
    patience = Patience(start_seconds=0.1, look_seconds=0.05, deaths=2)
    supervisor = Supervisor(settings, tmp_path, module="support.silent_worker", patience=patience)
    try:
        with pytest.raises(CrashLoop, match=r"worker 0 died 2 times in a row; .*: signal SIGKILL"):
            await supervisor.listen()
    finally:
        await supervisor.stop()


async def test_workers_that_cannot_even_start_are_a_crash_loop(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = Settings.model_validate({"port": 0, "metrics": False, "workers": 1})
    supervisor = Supervisor(settings, tmp_path, module="no_such_module")
    with pytest.raises(CrashLoop, match=r"worker 0 died 5 times in a row; .*: exit code 1"):
        await supervisor.listen()
    await supervisor.stop()
    assert capfd.readouterr().err.count("No module named no_such_module") == 5
