# SPDX-License-Identifier: Apache-2.0
"""`lungseg label start`: builds what is missing, says where to look, and becomes the server."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from lungseg.model.paths import weights_file
from lungseg.model.weights import load_weights
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.workflows.label.setup.environment import ready_python
from lungseg.workflows.label.store.addresses import LOOPBACK
from lungseg.workflows.label.store.study_files import look_into
from lungseg.workflows.label.store.workspace import default_work_folder, is_url, prepare

_SHOWN = 5


def start(
    studies: str,
    port: int = 8000,
    host: str = "127.0.0.1",
    work: str | None = None,
    weights: str | None = None,
    replay_data: str | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Start the server in place of this process; it ends with Ctrl-C.

    Args:
        studies: a folder of radiographs, or the URL of a DICOMweb service.
        port, host: where it listens; by default this machine alone can reach it.
        work: folder for the versions of the weights, caches and logs; see `work.default_work_folder`.
        weights: those to begin with; see :func:`lungseg.model.paths.weights_file`.
        replay_data: folder of the data set that these were trained on, for training and comparing.
        say: takes each line that is told to the user.

    Raises:
        UsageError: there are no studies, the port is taken, or a folder cannot be used.
        LungsegError: the environment cannot be built, or the weights cannot be used.
    """
    if not is_url(studies):
        studies = str(_checked_studies(Path(studies), say))
    if replay_data and not Path(replay_data).is_dir():
        raise UsageError("there is no such folder", replay_data, "check the path of the original data")
    first = weights_file(weights)
    load_weights(first)
    check_port(host, port)
    python = ready_python(say)
    folder = prepare(Path(work) if work else default_work_folder(studies))
    say(f"Studies: {studies}")
    say(f"Work folder, with the versions of the weights: {folder}")
    if host not in LOOPBACK:
        say("Other machines can reach the server: turn on its authentication (docs/label.md)")
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    say(f"Annotate at http://{shown}:{port}/lungseg/ once it says so below")
    command = [str(python), "-m", "lungseg.workflows.label.setup.serve", "--studies", studies, "--work", str(folder)]
    command += ["--host", host, "--port", str(port), "--conf", "weights", str(first.absolute())]
    if replay_data:
        command += ["--conf", "replay_data", str(Path(replay_data).absolute())]
    sys.stdout.flush()
    os.execv(command[0], command)


def check_port(host: str, port: int) -> None:
    """Refuse a port that something else listens at.

    Raises:
        UsageError: it is taken, or there is no such address.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"the server cannot listen at {host}:{port} ({error})", remedy="choose another --port"
            ) from error


def _checked_studies(folder: Path, say: Callable[[str], None]) -> Path:
    if not folder.is_dir():
        raise UsageError(
            "there is no such folder of studies", folder, "name a folder, or the URL of a DICOMweb service"
        )
    studies, told, below = look_into(folder)
    told += below
    if not studies:
        raise LungsegError("no file of this folder is listed as a study", folder, f"for one, {told[0]}")
    for sentence in told[:_SHOWN]:
        say(f"Not listed: {sentence}")
    if len(told) > _SHOWN:
        say(f"Not listed: {len(told) - _SHOWN} more files")
    return folder.absolute()
