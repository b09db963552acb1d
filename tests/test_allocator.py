# SPDX-License-Identifier: Apache-2.0
"""Memory that pictures leave behind is there for the next ones."""

import platform
import subprocess
import sys

import pytest

from lungseg.allocator import keep_freed_memory

# Prints how many pages the system clears for 64 MiB that come and go.
_PAGES = """
import resource
from lungseg.allocator import keep_freed_memory
if {keep}: keep_freed_memory()
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(2**26)
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(pages)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_is_kept_for_the_next_picture():
    given_back, kept = (
        int(subprocess.run([sys.executable, "-c", _PAGES.format(keep=keep)], capture_output=True, check=True).stdout)
        for keep in (False, True)
    )
    assert kept < 0.1 * given_back


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("there is no mallopt"))
    keep_freed_memory()
