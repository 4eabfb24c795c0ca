"""Memory that was let go of is kept for the next messages, where the C library can do so."""

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource, sys
from evenface_transport import keep_freed_memory

if "keep" in sys.argv:
    assert keep_freed_memory()

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        messages = [b"x" * 2**20 for _ in range(6)]
        del messages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(10)
print(faults(100))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_messages_one_after_another_use_the_same_pages() -> None:
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", PAGES, how]))
        for how in ("", "keep")
    }
    assert faults["keep"] < 5000 < faults[""]
