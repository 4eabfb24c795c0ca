"""How a process keeps memory that it has let go of."""

import ctypes
from typing import Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's names
_KEPT_BYTES: Final = 64 * 2**20
_FROM_THE_SYSTEM_BYTES: Final = 32 * 2**20  # glibc takes no more


def keep_freed_memory() -> bool:
    """Let this process keep up to 64 MiB that it has freed, for the next messages.

    By default, glibc hands the memory of a large message back to the system as soon as it is freed,
    and asks for it anew with the next one; then the system clears it, page by page.

    Returns:
        Whether the C library can do so.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    return set_option is not None and bool(
        set_option(_TRIM_THRESHOLD, _KEPT_BYTES)
        and set_option(_MMAP_THRESHOLD, _FROM_THE_SYSTEM_BYTES)
    )
