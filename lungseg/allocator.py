# SPDX-License-Identifier: Apache-2.0
"""How the C library treats the memory of pictures that come and go."""

from __future__ import annotations

import ctypes
import platform

# glibc's names and numbers of what can be set, see mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
# In bytes: the arrays of a large radiograph are smaller, and of a batch no more than this is worth keeping.
_LARGE, _KEPT = 2**28, 2**29


def keep_freed_memory() -> None:
    """Keep the memory of freed arrays for the next ones instead of giving it back to the system.

    The system clears each page that it hands out again, which takes a tenth of the time of large radiographs. For
    processes that do little else than segment; without glibc nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_THRESHOLD, _LARGE)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)
