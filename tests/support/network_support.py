# SPDX-License-Identifier: Apache-2.0
"""Watching the internet sockets of a command and of all the processes that it starts, native code included."""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SENT = re.compile(r'htons\((\d+)\).*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"')
_NAMES = 53


def calls(trace: str) -> list[tuple[str, int]]:
    """Return the address and port of each internet socket in strace's output."""
    return [(address, int(port)) for port, address in _SENT.findall(trace)]


def leaves(address: str, port: int) -> bool:
    """Return whether a packet leaves this machine, or asks for a name."""
    return port == _NAMES or not ipaddress.ip_address(address).is_loopback


def traced(folder: Path, *arguments: object, **options) -> tuple[subprocess.CompletedProcess, list[tuple[str, int]]]:
    """Run Python with these arguments under strace, and return how it ended and its internet sockets.

    The home is an empty folder, so that nothing is found in a cache.
    """
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is missing (Debian: strace)")
    log, home = folder / "strace.txt", folder / "home"
    home.mkdir(exist_ok=True)
    watch = ["--follow-forks", "--seccomp-bpf", "--trace=connect,sendto,sendmsg,sendmmsg", "--output", str(log)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    done = subprocess.run(
        [strace, *watch, sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        env=kept | {"HOME": str(home), "OMP_NUM_THREADS": "1"},
        **options,
    )
    return done, calls(log.read_text(encoding="utf-8", errors="replace"))
