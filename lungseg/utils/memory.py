# SPDX-License-Identifier: Apache-2.0
"""How much memory this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def machine_memory() -> int | None:
    """Return the bytes of the machine's memory, or of this process's share of it; None where it is not known.

    A container or a scheduler limits the share by a control group (version 1 or 2).
    """
    sizes = []
    with suppress(AttributeError, OSError, ValueError):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in _limit_files():
        # "max" is not a number: there is no limit.
        with suppress(OSError, ValueError):
            sizes.append(int(file.read_text(encoding="ascii")))
    return min(sizes, default=None)


def _limit_files() -> Iterator[Path]:
    """Yield the files that may hold a limit: of the process's own groups, and of the root that a container sees."""
    lines = []
    with suppress(OSError):
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    for line in ("0::/", "0:memory:/", *lines):
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            yield _GROUPS / path.lstrip("/") / "memory.max"
        elif "memory" in controllers.split(","):
            yield _GROUPS / "memory" / path.lstrip("/") / "memory.limit_in_bytes"
