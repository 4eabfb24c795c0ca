"""Memory that is free, but still the process's."""

import ctypes


def give_back() -> None:
    """Give free memory back to the system.

    Graphs come and go in pieces of many sizes, of which glibc would keep several times what is in
    use; other C libraries have no such function.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
