# SPDX-License-Identifier: Apache-2.0
"""Decoding in a process of its own, which may crash without taking this one along."""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
import threading
from os import PathLike

import numpy as np

# A radiograph takes a second or two at most.
_SECONDS = 60
_SERVE = "from lungseg.io.dicom.decoder_process import serve; serve()"
_lock = threading.Lock()
_child: subprocess.Popen | None = None


class CrashError(Exception):
    """The decoder ended its process, or did not come to an end."""


def decode_in_subprocess(path: str | PathLike) -> np.ndarray:
    """Return the `pixel_array` of a DICOM file, decoded in a child process that lives on for the next file.

    Raises:
        CrashError: the child is gone; the next call starts another.
        RuntimeError: what pydicom said in the child.
    """
    with _lock:
        child = _running()
        timer = threading.Timer(_SECONDS, child.kill)
        timer.start()
        try:
            pickle.dump(os.path.abspath(path), child.stdin)
            child.stdin.flush()
            result = pickle.load(child.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            _stop()
            raise CrashError("the decoder crashed") from error
        except BaseException:
            # An answer that nobody waited for would be taken for the next file's.
            _stop()
            raise
        finally:
            timer.cancel()
    if isinstance(result, Exception):
        raise result
    return result


def serve() -> None:
    """Answer each path on stdin with an array, or an exception, on stdout, until stdin is closed."""
    from pathlib import Path

    from lungseg.io.dicom.codecs import decode_here
    from lungseg.io.dicom.file import open_dicom

    # What the libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            path = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = decode_here(open_dicom(Path(path)), path)
        except Exception as error:
            answer = RuntimeError(str(error))
        pickle.dump(answer, answers, protocol=5)
        answers.flush()


def _running() -> subprocess.Popen:
    global _child
    if _child is None or _child.poll() is not None:
        _child = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            # Ctrl-C is for the parent, which closes the child's stdin.
            start_new_session=True,
        )
    return _child


def _stop() -> None:
    global _child
    child, _child = _child, None
    if child is not None:
        child.kill()
        child.communicate()


def _forget() -> None:
    """A forked process must not share the child with its parent."""
    global _child, _lock
    _child, _lock = None, threading.Lock()


atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
