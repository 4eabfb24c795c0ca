"""How many pixels an image file says it has, read in microseconds. Needs nothing but Python.

For planning the work alone: what a header claims is checked where the file is decoded.
"""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# Markers that begin a frame, of which all kinds give its size alike (ITU-T T.81, table B.1).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MAX_SEGMENTS = 64
_VP8_START = b"\x9d\x01\x2a"
# What a few bytes can make long: texts and profiles that are inflated, and scans without end, which
# frames of other kinds than these may have.
_INFLATED = (b"zTXt", b"iTXt", b"iCCP")
_SEQUENTIAL = frozenset((0xC0, 0xC1))
# Metadata is read in Python, a hundred times slower than the image itself.
_MAX_METADATA_BYTES = 4096
_MAX_CHUNKS = 16
_SCAN = 0xDA


def pixels_of(data: bytes) -> int | None:
    """Return width × height as the header of a JPEG, PNG or WebP file has it.

    Returns:
        The product; None where there is no such header, or it lies beyond many others.
    """
    if data.startswith(_PNG):
        is_first = data[12:16] == b"IHDR"
        return (_big(data, 16, 4) * _big(data, 20, 4) or None) if is_first else None
    if data.startswith(_JPEG):
        return _jpeg(data)[1] or None
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data) or None
    return None


def is_plain(data: bytes) -> bool:
    """Return whether decoding a file takes about as long as its size and pixels let expect.

    Args:
        data: The file.

    Returns:
        False where it may be made to take far longer: much metadata or many pieces; PNG with a
        second header, which counts in place of the first, or with compressed texts; progressive
        JPEG.
    """
    if data.startswith(_PNG):
        return _is_plain_png(data)
    if data.startswith(_JPEG):
        return _jpeg(data)[0] in _SEQUENTIAL and _scan_at(data) <= _MAX_METADATA_BYTES
    return data[12:16] in (b"VP8 ", b"VP8L")  # which have no metadata


def _is_plain_png(data: bytes) -> bool:
    at, metadata = len(_PNG), 0
    for number in range(_MAX_CHUNKS):
        size, kind = _big(data, at, 4), data[at + 4 : at + 8]
        if kind in _INFLATED or (kind == b"IHDR") != (number == 0):
            return False
        metadata += 0 if kind == b"IDAT" else size
        at += 12 + size  # with its size, kind and checksum
        if at >= len(data):
            return metadata <= _MAX_METADATA_BYTES
    return False


def _scan_at(data: bytes) -> int:
    """Return where the first scan of a JPEG begins, all metadata being before it."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if _big(data, at + 1, 1) == _SCAN:
            return at
        at += 2 + _big(data, at + 2, 2)
    return len(data)


def _jpeg(data: bytes) -> tuple[int, int]:
    """Return the kind of the first frame, and its pixels; zeros where there is none."""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        if data[at : at + 1] != b"\xff":
            return 0, 0
        kind = _big(data, at + 1, 1)
        if kind in _FRAMES:
            return kind, _big(data, at + 5, 2) * _big(data, at + 7, 2)
        at += 2 + _big(data, at + 2, 2)
    return 0, 0


def _webp(data: bytes) -> int:
    kind = data[12:16]
    if kind == b"VP8X":
        return (_little(data, 24, 3) + 1) * (_little(data, 27, 3) + 1)
    if kind == b"VP8L":
        bits = _little(data, 21, 4)
        return ((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and data[23:26] == _VP8_START:
        return (_little(data, 26, 2) & 0x3FFF) * (_little(data, 28, 2) & 0x3FFF)
    return 0


def _big(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _little(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")
