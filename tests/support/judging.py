"""What a server of the transport may say, whatever it was told."""

from collections.abc import Iterator
from typing import Final

import hpack
from evenface_transport import Code, frames

_CODES = frozenset(str(int(code)) for code in Code)
_LAST: Final = 0x7FFF_FFFF


def check_said(said: bytes) -> list[tuple[int, int, int, dict[str, str]]]:
    """Insist that all a server said is HTTP/2 and gRPC.

    Returns:
        Its frames: kind, flags, stream, header fields.
    """
    decoder, states = hpack.Decoder(), dict[int, str]()
    found: list[tuple[int, int, int, dict[str, str]]] = []
    data: dict[int, bytes] = {}
    at, is_over = 0, False
    while at < len(said):
        high, low, kind, flags, number = frames.HEADER.unpack_from(said, at)
        payload = said[at + 9 : at + 9 + (high << 8 | low)]
        at += 9 + (high << 8 | low)
        assert at <= len(said), "the last frame is cut short"
        assert not is_over, "frames after the last words"
        fields: dict[str, str] = {}
        if kind == frames.HEADERS:
            assert flags & frames.END_HEADERS
            fields = {str(name): str(value) for name, value in decoder.decode(payload)}
            _check_headers(fields, states, number, ends=bool(flags & frames.END_STREAM))
        elif kind == frames.DATA:
            assert states.get(number) == "head", (number, states.get(number))
            data[number] = data.get(number, b"") + payload
        elif kind == frames.RST_STREAM:
            assert states.get(number) != "reset"
            states[number] = "reset"
        elif kind == frames.GOAWAY:
            is_over = int.from_bytes(payload[:4], "big") != _LAST
        else:
            assert kind in (frames.SETTINGS, frames.PING, frames.WINDOW_UPDATE), kind
        found.append((kind, flags, number, fields))
    for number, received in data.items():
        if states[number] == "ended":
            _check_messages(received)
    assert found
    assert found[0][0] == frames.SETTINGS
    return found


def check_windows(sent: bytes, said: bytes) -> None:
    """Insist that a server sends no more data than an honest peer ever allowed it to."""
    initial, granted = frames.DEFAULT_WINDOW, dict[int, int]()
    for kind, flags, number, payload in _frames(sent[len(frames.PREFACE) :]):
        if kind == frames.SETTINGS and len(payload) % 6 == 0 and not flags & frames.ACK:
            initial = max(initial, dict(frames.read_settings(payload)).get(4, 0))
        if kind == frames.WINDOW_UPDATE and len(payload) == 4:
            granted[number] = granted.get(number, 0) + frames.number(payload)
    taken = dict[int, int]()
    for kind, _, number, payload in _frames(said):
        if kind == frames.DATA:
            for account in (0, number):
                taken[account] = taken.get(account, 0) + len(payload)
    for number, size in taken.items():
        room = (initial if number else frames.DEFAULT_WINDOW) + granted.get(number, 0)
        assert size <= room, (number, size, room)


def _frames(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    at = 0
    while at + frames.HEADER_BYTES <= len(data):
        high, low, kind, flags, number = frames.HEADER.unpack_from(data, at)
        at += frames.HEADER_BYTES
        yield kind, flags, number, data[at : at + (high << 8 | low)]
        at += high << 8 | low


def _check_headers(
    fields: dict[str, str], states: dict[int, str], number: int, *, ends: bool
) -> None:
    assert number % 2 == 1
    state = states.get(number)
    if state is None:
        assert fields[":status"] in ("200", "415")
        assert ends == ("grpc-status" in fields or fields[":status"] == "415")
    else:
        assert state == "head", (number, state)
        assert ends
    if ends and fields.get(":status") != "415":
        assert fields["grpc-status"] in _CODES
    states[number] = "ended" if ends else "head"


def _check_messages(data: bytes) -> None:
    at = 0
    while at < len(data):
        assert data[at] == 0
        at += 5 + int.from_bytes(data[at + 1 : at + 5], "big")
    assert at == len(data)
