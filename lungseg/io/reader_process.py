# SPDX-License-Identifier: Apache-2.0
"""Processes that read files, so that no file can harm this one: decoders may crash, take all memory or never end.

Each process stays for the next file. They are plain subprocesses, without :mod:`multiprocessing`: the workers of a data
loader are daemonic and may not have children of that kind. They answer with JSON and raw bytes, which are checked, and
never with a pickle.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np

from lungseg.io.limits import check_size
from lungseg.io.reader_child import OUT_OF_MEMORY, PIXEL_TYPES
from lungseg.utils.errors import LungsegError
from lungseg.utils.memory import machine_memory
from lungseg.utils.parallel import core_count

# The largest radiographs need 2 GB for a moment, of a machine with so much; others need less than 0.3 GB.
_MOST_MEMORY, _LEAST_MEMORY, _SHARE = 3_000_000_000, 700_000_000, 0.3
# Of processor time. A radiograph takes a second or two, the largest ones ten.
_SECONDS = 20.0
# A slow disk and other processes also take time.
_PATIENCE = 3
# Seconds for a process that has closed its output, which it does a moment before it ends.
_GRACE = 10
_SERVE = "from lungseg.io.reader_child import serve; serve({memory}, {seconds}, {first!r})"
_SETTINGS = {
    # Each thread of a library would reserve address space.
    "OPENBLAS_NUM_THREADS": "1",
    # The C library (glibc) keeps the memory of a picture of 16 megapixels for the next one; the system would clear it
    # again, which takes half as long as to decode it.
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**26),
}
_LINE_BYTES = 2**16
_HEADER_BYTES = 2**21


@dataclass(frozen=True)
class Answer:
    """What was read from a file.

    Attributes:
        facts: by name, as JSON can hold them.
        header: bytes of its header, as far as the task asks for them.
        pixels: (H, W) of any real type, as far as the task asks for them.
    """

    facts: dict[str, Any]
    header: bytes
    pixels: np.ndarray | None


def ask(task: str, path: str | PathLike[str], query: Mapping[str, Any] | None = None) -> Answer:
    """Let a process do `task` with the file `path`; see :mod:`lungseg.io.reader_child` for the tasks.

    Args:
        task: its name.
        path: the file.
        query: more about a task that asks for it, as JSON can hold it.

    May be called from several threads; as many processes as there are cores read at the same time.

    Raises:
        LungsegError: the file cannot be read, or reading it crashed, or took too much memory or time.
    """
    path = Path(path)
    encoded = _encoded(path)
    with _lent_child() as child:
        request = {"task": task, "path": encoded} | ({} if query is None else {"query": query})
        return child.ask(json.dumps(request).encode() + b"\n", path)


def _encoded(path: str | PathLike[str]) -> str:
    """Return a path as hexadecimal digits.

    Raises:
        LungsegError: there is no such path.
    """
    try:
        return os.fsencode(os.path.abspath(path)).hex()
    except ValueError as error:
        remedy = "check the name"
        raise LungsegError("there is no file with such a name", path, remedy, code="not-readable") from error


class _Child:
    """A process that reads one file at a time.

    Args:
        first: path of a file that may be asked for first, in hexadecimal digits.
    """

    def __init__(self, first: str = "") -> None:
        total = machine_memory()
        self.memory = int(min(_MOST_MEMORY, max(_LEAST_MEMORY, total * _SHARE))) if total else _MOST_MEMORY
        self._timed_out = False
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-W", "ignore", "-c"),
                _SERVE.format(memory=self.memory, seconds=_SECONDS, first=first),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _SETTINGS | {"PYTHONPATH": os.pathsep.join(sys.path)},
            # This process handles Ctrl-C and closes the stdin of the child.
            start_new_session=True,
        )

    def is_running(self) -> bool:
        """Return whether it can be asked."""
        return self._process.poll() is None

    def ask(self, request: bytes, path: Path) -> Answer:
        """Return the answer to a request about `path`; after any other end the process is gone."""
        timer = threading.Timer(_PATIENCE * _SECONDS, self._give_up)
        timer.start()
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(request)
            self._process.stdin.flush()
            assert self._process.stdout is not None
            answer = _read_answer(self._process.stdout, path)
        except BaseException as error:
            timer.cancel()
            ended = self._status() if isinstance(error, EOFError | OSError) else None
            # Otherwise the answer for this file would be read as the answer for the next one.
            self.stop()
            if isinstance(error, LungsegError) or not isinstance(error, Exception):
                raise
            raise self._explain(ended, path) from error
        timer.cancel()
        if isinstance(answer, LungsegError):
            raise answer
        if answer is None:
            # The process does not give back the memory that it has in pieces.
            self.stop()
            raise self._too_much_memory(path)
        return answer

    def stop(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        with suppress(OSError):
            self._process.communicate()

    def forget(self) -> None:
        """Close this process's ends of the pipes, and let the child be another's."""
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe:
                    os.close(pipe.fileno())

    def _give_up(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _too_much_memory(self, path: Path) -> LungsegError:
        what = f"reading it takes more memory than there is, or more than {self.memory / 1e9:.1f} GB"
        remedy = "export it again, smaller, or use a machine with more memory"
        return LungsegError(what, path, remedy, code="too-much-memory")

    def _status(self) -> int | None:
        """Return the exit status of the process, which has closed its output; None if it does not end."""
        try:
            return self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            return None

    def _explain(self, ended: int | None, path: Path) -> LungsegError:
        """Return why there is no answer; `ended` is how the process ended by itself."""
        if self._timed_out or ended == -getattr(signal, "SIGXCPU", 0):
            what, remedy = f"reading it takes more than {_SECONDS:g} seconds", "copy or export it again"
            return LungsegError(what, path, remedy, code="too-much-time")
        if ended == -getattr(signal, "SIGKILL", 0):
            # The system ends it first where the memory of all runs out.
            return self._too_much_memory(path)
        what, remedy = "the file is damaged, and crashed its decoder", "copy or export it again"
        return LungsegError(what, path, remedy, code="damaged")


def _read_answer(stdout: IO[bytes], path: Path) -> Answer | LungsegError | None:
    """Read an answer, and check it: damaged data may have made the process another program.

    Returns:
        The answer, the error of the file, or None if the memory was not enough.

    Raises:
        Exception: it is not an answer.
    """
    line = stdout.readline(_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise EOFError
    facts = json.loads(line)
    if error := facts.get("error"):
        what, remedy, code = (str(error[name]) for name in ("what", "remedy", "code"))
        return None if code == OUT_OF_MEMORY else LungsegError(what, path, _as_named(remedy, path), code=code)
    length = int(facts.pop("header"))
    if not 0 <= length <= _HEADER_BYTES:
        raise ValueError(length)
    header = _read_exactly(stdout, length)
    if "shape" not in facts:
        return Answer(facts, header, None)
    height, width = map(int, facts.pop("shape"))
    check_size(width, height, path)
    kind = facts.pop("type")
    if kind not in PIXEL_TYPES:
        raise ValueError(kind)
    pixels = np.empty((height, width), kind)
    _read_into(stdout, pixels.data.cast("B"))
    return Answer(facts, header, pixels)


def _as_named(remedy: str, path: Path) -> str:
    """Let the commands of a remedy name a file, or its folder, as the user named it."""
    file = os.path.abspath(path)
    named = remedy.replace(file, str(path))
    folder = os.path.dirname(file)
    return named if len(folder) < 2 else named.replace(folder, str(path.parent))


def _read_exactly(stdout: IO[bytes], length: int) -> bytes:
    content = bytearray(length)
    _read_into(stdout, memoryview(content))
    return bytes(content)


def _read_into(stdout: IO[bytes], view: memoryview) -> None:
    done = 0
    while done < len(view):
        count = stdout.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        done += count


class _Pool:
    """Processes that wait for a file, and a place for each that may read one now."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.idle: list[_Child] = []
        self.places = threading.BoundedSemaphore(core_count())

    def take(self) -> _Child:
        with self.lock:
            while self.idle:
                child = self.idle.pop()
                if child.is_running():
                    return child
        return _Child()

    def give_back(self, child: _Child) -> None:
        with self.lock:
            self.idle.append(child)


_pool: _Pool | None = None
_pool_lock = threading.Lock()


def start_readers(paths: Sequence[str | PathLike[str]]) -> None:
    """Start processes ahead of the first files, or of a folder of them, which saves a moment later."""
    pool = _current_pool()
    for path in paths[len(pool.idle) : core_count()]:
        # Who asks for the file is given the error.
        with suppress(LungsegError):
            pool.give_back(_Child(_encoded(path)))


@contextmanager
def _lent_child() -> Iterator[_Child]:
    pool = _current_pool()
    with pool.places:
        child = pool.take()
        try:
            yield child
        finally:
            if child.is_running():
                pool.give_back(child)


def _current_pool() -> _Pool:
    global _pool
    with _pool_lock:
        # Not before: a worker learns late how many processes share the cores.
        _pool = _pool or _Pool()
        return _pool


def stop_readers() -> None:
    """End the processes that wait for a file."""
    global _pool
    with _pool_lock:
        pool, _pool = _pool, None
    for child in pool.idle if pool else ():
        child.stop()


def _forget() -> None:
    """Start without children in a forked process, which must not share the children of its parent."""
    global _pool, _pool_lock
    for child in _pool.idle if _pool else ():
        child.forget()
    _pool, _pool_lock = None, threading.Lock()


atexit.register(stop_readers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
