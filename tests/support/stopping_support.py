# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed, stand still or get a signal at a chosen moment."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# In each Python process: when a file whose name holds NAME is opened or gets its final name (EVENT), do ACTION. "kill"
# and "kill-once" kill the process; "wait" lets it stand still, as a picture would that takes SECONDS.
_HOOK = """
import os, signal, sys, time

def watch(event, arguments):
    if event != EVENT or not isinstance(arguments[0], (str, os.PathLike)) or NAME not in os.fspath(arguments[0]):
        return
    if ACTION == "kill-once" and os.path.exists(MARK):
        return
    with open(MARK, "a") as mark:
        mark.write(f"{os.getpid()}\\\\n")
    if ACTION == "wait":
        time.sleep(SECONDS)
    else:
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
"""


def hooked(folder: Path, name: str, action: str, event: str = "os.rename", seconds: int = 600) -> dict[str, str]:
    """Return environment variables with which Python processes do `action` at `event` of files called `name`.

    `folder / "mark"` gets a line with the process's number each time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    values = {"NAME": name, "ACTION": action, "EVENT": event, "SECONDS": seconds, "MARK": str(folder / "mark")}
    settings = "\n".join(f"{key} = {value!r}" for key, value in values.items())
    (folder / "sitecustomize.py").write_text(settings + _HOOK.replace("\\\\n", "\\n"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path[:1], os.environ.get("PYTHONPATH", "")])}


def marks(folder: Path) -> int:
    """Return how often the hook of this folder acted."""
    mark = folder / "mark"
    return len(mark.read_text().splitlines()) if mark.exists() else 0


def start(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start `python` in a process group of its own, as a terminal does; standard error goes to standard output."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=environment,
    )


def wait_for(condition: Callable[[], object], seconds: float = 600) -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
