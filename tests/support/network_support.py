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
_LOG = "strace.txt"
_KEPT = ("PATH", "LANG", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "LUNGSEG_LABEL_ENVIRONMENT")


def calls(trace: str) -> list[tuple[str, int]]:
    """Return the address and port of each internet socket in strace's output."""
    return [(address, int(port)) for port, address in _SENT.findall(trace)]


def leaves(address: str, port: int) -> bool:
    """Return whether a packet leaves this machine, or asks for a name."""
    return port == _NAMES or not ipaddress.ip_address(address).is_loopback


def traced(folder: Path, *arguments: object, **options) -> tuple[subprocess.CompletedProcess, list[tuple[str, int]]]:
    """Run Python with these arguments under strace, and return how it ended and its internet sockets."""
    command, environment = under_strace(folder, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, **options)
    return done, sockets(folder)


def under_strace(folder: Path, *arguments: object) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs Python with these arguments, so that `sockets(folder)` has its sockets afterwards.

    The home of its environment is an empty folder, so that nothing is found in a cache, and no variable says that this
    is a test: some libraries are silent where `CI` is set.
    """
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is missing (Debian: strace)")
    home = folder / "home"
    home.mkdir(exist_ok=True)
    watch = ["--follow-forks", "--seccomp-bpf", "--trace=connect,sendto,sendmsg,sendmmsg", "--output"]
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    command = [strace, *watch, str(folder / _LOG), sys.executable, *map(str, arguments)]
    return command, kept | {"HOME": str(home), "OMP_NUM_THREADS": "1"}


def sockets(folder: Path) -> list[tuple[str, int]]:
    """Return the address and port of each internet socket that a command under strace opened."""
    return calls((folder / _LOG).read_text(encoding="utf-8", errors="replace"))
