# SPDX-License-Identifier: Apache-2.0
"""Decode in a child process, which may crash without ending this one.

A plain subprocess and not :mod:`multiprocessing`: the workers of a data loader are daemonic and may not have children.
"""

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
_child: subprocess.Popen[bytes] | None = None


class CrashError(Exception):
    """The decoder ended its process, or did not finish in time."""


def decode_in_subprocess(path: str | PathLike[str]) -> np.ndarray:
    """Return the stored pixels of a DICOM file, decoded in a child process that stays for the next file.

    Raises:
        CrashError: the child ended; the next call starts another one.
        RuntimeError: the decoder in the child raised an exception.
    """
    with _lock:
        child = _running()
        timer = threading.Timer(_SECONDS, child.kill)
        timer.start()
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            pickle.dump(os.path.abspath(path), child.stdin)
            child.stdin.flush()
            answer = pickle.load(child.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            _stop()
            raise CrashError("the decoder crashed") from error
        except BaseException:
            # Otherwise the answer for this file would be read as the answer for the next one.
            _stop()
            raise
        finally:
            timer.cancel()
    if isinstance(answer, Exception):
        raise answer
    return np.asarray(answer)


def serve() -> None:
    """Answer each path on stdin with an array, or an exception, on stdout, until stdin is closed."""
    from pathlib import Path

    from lungseg.io.dicom.codecs import decode_here
    from lungseg.io.dicom.file import open_dicom

    # The libraries must not print between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            path = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: np.ndarray | RuntimeError = decode_here(open_dicom(Path(path)), path)
        except Exception as error:
            answer = RuntimeError(str(error))
        pickle.dump(answer, answers, protocol=5)
        answers.flush()


def _running() -> subprocess.Popen[bytes]:
    global _child
    if _child is None or _child.poll() is not None:
        _child = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            # The parent handles Ctrl-C and closes the stdin of the child.
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
    """Start without a child in a forked process, which must not share the child of its parent."""
    global _child, _lock
    _child, _lock = None, threading.Lock()


atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
