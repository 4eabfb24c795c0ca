"""Metrics over HTTP, and clients that do not ask for them."""

import socket

import pytest
from evenface_server.instruments import Instruments
from evenface_server.supervisor import exposition
from evenface_server.supervisor.exposition import Exposition
from evenface_server.totals import Totals
from support.servers import scrape


async def test_a_client_that_asks_for_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exposition._Handler, "timeout", 0.05)  # noqa: SLF001 - no need to wait
    found = Exposition("127.0.0.1", 0, [Totals(Instruments())])
    try:
        host, _, port = found.address.rpartition(":")
        for sent in (b"", b"GET /metrics HTT", b"GET /metrics HTTP/1.1\r\nhost: x\r\n"):
            with socket.create_connection((host, int(port)), timeout=30) as idle:
                idle.sendall(sent)
                assert idle.recv(1) == b""
        assert "process_cpu_seconds_total{}" in scrape(found.address)
    finally:
        await found.close()
    assert capfd.readouterr() == ("", "")
