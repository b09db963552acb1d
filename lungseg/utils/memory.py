# SPDX-License-Identifier: Apache-2.0
"""How much memory this process may use."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# The limits of control groups, version 2 and 1, as a container sees its own.
_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_memory() -> int | None:
    """Return the bytes of the machine's memory, or of the container's share; None where the system does not say."""
    sizes = []
    with suppress(AttributeError, OSError, ValueError):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for group in _GROUPS:
        # "max" is not a number: there is no limit.
        with suppress(OSError, ValueError):
            sizes.append(int(Path(group).read_text(encoding="ascii")))
    return min(sizes, default=None)
