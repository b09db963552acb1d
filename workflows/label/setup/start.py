# SPDX-License-Identifier: Apache-2.0
"""`lungseg label start`: check the input, build MONAI Label's environment if it is missing, and start the server."""

from __future__ import annotations

import logging
import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from lungseg.model.paths import weights_file
from lungseg.model.run_settings import model_settings
from lungseg.model.weights import load_weights
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.workflows.label.setup.environment import ready_python
from lungseg.workflows.label.store.addresses import LOOPBACK
from lungseg.workflows.label.store.study_files import find_studies
from lungseg.workflows.label.store.workspace import default_workspace, is_url, prepare_workspace

logger = logging.getLogger(__name__)
_SHOWN = 5


def start(
    studies: str,
    port: int = 8000,
    host: str = "127.0.0.1",
    workspace: str | None = None,
    weights: str | None = None,
    replay_data: str | None = None,
    trust: bool = False,
) -> None:
    """Replace this process by the server, which ends with Ctrl-C.

    Args:
        studies: a folder of radiographs, or the URL of a DICOMweb service.
        port, host: the address of the server; by default only this machine can reach it.
        workspace: folder for model versions, scores and logs; see :func:`default_workspace`.
        weights: the first weights; see :func:`lungseg.model.paths.weights_file`.
        replay_data: folder of the data set that the first weights were trained on, for training and comparing.
        trust: the configs of weights and of stopped trainings may run code, as a program of their author would.

    Raises:
        UsageError: there are no studies, the URL has a password, the port is taken, or a folder cannot be used.
        LungsegError: the environment cannot be built, or the weights cannot be used.
    """
    if "://" in studies:
        check_url(studies)
    else:
        studies = str(_check_studies(Path(studies)))
    if replay_data and not Path(replay_data).is_dir():
        raise UsageError("there is no such folder", replay_data, "check the path of the replay data", code="not-found")
    first = weights_file(weights)
    load_weights(first)
    model_settings(first, trust)
    check_port(host, port)
    python = ready_python()
    folder = prepare_workspace(Path(workspace) if workspace else default_workspace(studies))
    logger.info("Studies: %s", studies)
    logger.info("Workspace, with the versions of the weights: %s", folder)
    if host not in LOOPBACK:
        logger.warning("other machines can reach the server: turn on its authentication (docs/label.md)")
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    logger.info("Open http://%s:%d/lungseg/ as soon as the server has started", shown, port)
    command = [str(python), "-m", "lungseg.workflows.label.setup.serve", "--studies", studies]
    command += ["--workspace", str(folder), "--host", host, "--port", str(port)]
    command += ["--conf", "weights", str(first.absolute())]
    if trust:
        command += ["--conf", "trust", "true"]
    if replay_data:
        command += ["--conf", "replay_data", str(Path(replay_data).absolute())]
    sys.stdout.flush()
    os.execv(command[0], command)


def check_port(host: str, port: int) -> None:
    """Check that the server can listen at an address.

    Raises:
        UsageError: the port is taken, or the address does not exist (port-unavailable).
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except (OSError, OverflowError) as error:
            what = f"the server cannot listen at {host}:{port} ({error})"
            raise UsageError(what, remedy="choose another --port", code="port-unavailable") from error


def check_url(studies: str) -> None:
    """Check the URL of a DICOMweb service.

    Raises:
        UsageError: it is not one (url-invalid), or it has a password (url-with-password).
    """
    try:
        parts = urlsplit(studies)
        usable = is_url(studies) and parts.hostname and parts.port != 0
    except ValueError:  # an impossible host or port
        usable = False
    if not usable:
        # The part before an @ may be a password.
        what, remedy = "this is not the URL of a DICOMweb service", "give one such as http://127.0.0.1:8042/dicom-web"
        raise UsageError(what, studies.rpartition("@")[2], remedy, code="url-invalid")
    if "@" in parts.netloc:
        what = "a password must not be in a URL, which other users of this machine can read"
        remedy = "set MONAI_LABEL_DICOMWEB_USERNAME and MONAI_LABEL_DICOMWEB_PASSWORD"
        raise UsageError(what, parts.hostname, remedy, code="url-with-password")


def _check_studies(folder: Path) -> Path:
    if not folder.is_dir():
        remedy = "name a folder, or the URL of a DICOMweb service"
        raise UsageError("there is no such folder of studies", folder, remedy, code="not-found")
    found = find_studies(folder)
    reasons = found.excluded + found.nested
    if not found.studies:
        what, remedy = "this folder has no studies", f"one of its files: {reasons[0]}"
        raise LungsegError(what, folder, remedy, code="no-studies")
    for reason in reasons[:_SHOWN]:
        logger.warning("not listed: %s", reason)
    if len(reasons) > _SHOWN:
        logger.warning("not listed: %d more files", len(reasons) - _SHOWN)
    return folder.absolute()
