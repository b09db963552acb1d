# SPDX-License-Identifier: Apache-2.0
"""How much memory this process may use, how much of it is free, and how it gives back what it has used."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_MEMORY = Path("/proc/meminfo")


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
            sizes.append(_number(file))
    return min(sizes, default=None)


def give_back_memory() -> None:
    """Give freed memory back to the system, where the C library keeps it for later (glibc).

    It takes a moment, and pages that are used again cost time: this is for the end of the work on something large.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def free_memory() -> int | None:
    """Return the bytes of memory that processes may still take before the machine, or their control group, is full.

    Copies of files that the system holds count as free. Where the system does not say how much is free, the answer is
    half of the machine's memory; None where that is not known either.
    """
    sizes = []
    with suppress(OSError, KeyError, ValueError):
        sizes.append(_numbers(_MEMORY)["MemAvailable:"] * 1024)
    for file in _limit_files():
        with suppress(OSError, ValueError):
            used, prefix = ("memory.current", "") if file.name == "memory.max" else ("memory.usage_in_bytes", "total_")
            held = _numbers(file.with_name("memory.stat"))
            files = sum(held.get(f"{prefix}{kind}_file", 0) for kind in ("active", "inactive"))
            sizes.append(max(0, _number(file) - _number(file.with_name(used)) + files))
    if sizes:
        return min(sizes)
    total = machine_memory()
    return None if total is None else total // 2


def _number(file: Path) -> int:
    return int(file.read_text(encoding="ascii"))


def _numbers(file: Path) -> dict[str, int]:
    """Return the numbers of a file whose lines are a name and a number; what follows it is left out."""
    lines = (line.split() for line in file.read_text(encoding="ascii").splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1}


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
