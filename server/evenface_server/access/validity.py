"""How long certificates hold, as their files say. Transport-free.

Of certificates, Python's ssl shows this for authorities alone, and a library that reads them all
weighs more than the server. Where it stands in a certificate is fixed: RFC 5280, section 4.1.
"""

import base64
import re
from datetime import datetime
from typing import Final, NamedTuple

# As OpenSSL takes them from a file.
_PEM: Final = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.*?)-----END", re.DOTALL)
_VERSION: Final = 0xA0
_SHORT_TIME: Final = 0x17  # UTCTime, with a year of two digits
_FIRST_OF_1900S: Final = "50"
_LONG: Final = 0x80


class Validity(NamedTuple):
    """How long a certificate holds.

    Attributes:
        begins: Seconds since 1970.
        ends: Seconds since 1970.
    """

    begins: float
    ends: float


def first_to_end(pem: bytes) -> Validity:
    """Return the validity of the certificate of a file that ends before the others.

    Args:
        pem: What the file holds; OpenSSL has taken it.

    Raises:
        ValueError: There is none, or it cannot be read.
    """
    try:
        found = [_validity(base64.b64decode(body)) for body in _PEM.findall(pem)]
    except IndexError as error:
        raise ValueError("a certificate ends in the middle") from error
    if not found:
        raise ValueError("there is no certificate in it")
    return min(found, key=lambda one: one.ends)


def _validity(der: bytes) -> Validity:
    _, at, _ = _item(der, 0)  # the certificate
    _, at, _ = _item(der, at)  # what is signed of it
    tag, _, end = _item(der, at)
    at = end if tag == _VERSION else at
    for _ in ("serial number", "algorithm", "issuer"):
        _, _, at = _item(der, at)
    _, at, _ = _item(der, at)
    _, _, middle = _item(der, at)
    return Validity(_time(der, at), _time(der, middle))


def _item(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of what stands at a place, and where its content begins and ends."""
    tag, length, start = der[at], der[at + 1], at + 2
    if length & _LONG:
        size = length - _LONG
        length, start = int.from_bytes(der[start : start + size]), start + size
    return tag, start, start + length


def _time(der: bytes, at: int) -> float:
    tag, start, end = _item(der, at)
    text = der[start:end].decode("ascii")
    if tag == _SHORT_TIME:
        text = ("19" if text >= _FIRST_OF_1900S else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%S%z").timestamp()
