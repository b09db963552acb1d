# SPDX-License-Identifier: Apache-2.0
"""`lungseg label check`: look for the faults of a set-up."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from lungseg.io import read_radiograph
from lungseg.model.paths import weights_file
from lungseg.model.run_settings import model_settings
from lungseg.model.weights import load_weights
from lungseg.utils.errors import LungsegError, as_lungseg_error
from lungseg.utils.files import usable_folder
from lungseg.workflows.label.setup.environment import environment_folder, is_current, python_of
from lungseg.workflows.label.setup.start import check_port, check_url
from lungseg.workflows.label.store.model_versions import Versions
from lungseg.workflows.label.store.study_files import find_studies
from lungseg.workflows.label.store.workspace import default_workspace, is_url

logger = logging.getLogger(__name__)
_REBUILD = "delete its folder, and lungseg label start builds it again"
_SHOWN = 10
_NEEDED_SPACE = 4 * 2**30


def check(
    studies: str | None,
    port: int = 8000,
    host: str = "127.0.0.1",
    workspace: str | None = None,
    weights: str | None = None,
    replay_data: str | None = None,
    trust: bool = False,
) -> int:
    """Check everything that `start` needs, log the result of each check, and return the number of faults.

    Args:
        studies, port, host, workspace, weights, replay_data, trust: see :func:`start.start`; without studies, neither
            they nor the workspace are checked.
    """
    faults = _report("environment", _environment())
    faults += _report("port", _port(host, port))
    faults += _report("weights", _weights(weights, trust))
    if replay_data:
        faults += _report("replay data", _replay(Path(replay_data)))
    if studies:
        faults += _report("studies", _service(studies) if "://" in studies else _studies(Path(studies)))
        if is_url(studies) or Path(studies).is_dir():
            faults += _report("workspace", _workspace(studies, workspace, weights_file(weights), trust))
    logger.info("Faults: %d.", faults)
    return faults


def _report(subject: str, findings: Iterator[str]) -> int:
    """Log the result of a check, and return the number of its faults."""
    faults: list[str] = []
    try:
        faults.extend(findings)
    except LungsegError as error:
        faults.append(str(error))
    if faults:
        _log(f"fault  {subject}", faults)
    else:
        logger.info("ok     %s", subject)
    return len(faults)


def _log(subject: str, sentences: list[str]) -> None:
    for sentence in sentences[:_SHOWN]:
        logger.info("%s: %s", subject, sentence)
    if len(sentences) > _SHOWN:
        logger.info("%s: %d more", subject, len(sentences) - _SHOWN)


def _environment() -> Iterator[str]:
    folder = environment_folder()
    if find_spec("monailabel"):
        python = Path(sys.executable)
    elif is_current(folder):
        python = python_of(folder)
    elif folder.exists():
        yield f"{folder}: it is incomplete or has other versions; lungseg label start builds it again."
        return
    else:
        free = shutil.disk_usage(next(parent for parent in folder.parents if parent.exists())).free
        logger.info("       environment: not built yet; lungseg label start builds it in %s", folder)
        if free < _NEEDED_SPACE:
            yield f"{folder}: it needs 4 GB, but only {free / 2**30:.1f} GB are free; make room."
        return
    # With -P, nothing is imported from the current folder.
    done = subprocess.run(
        [python, "-P", "-m", "lungseg.workflows.label.setup.environment_report"], capture_output=True, text=True
    )
    try:
        report = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield f"{python}: Python does not run there ({reason}); {_REBUILD}."
        return
    logger.info("       %s", ", ".join(f"{package} {version}" for package, version in report["versions"].items()))
    for fault in report["faults"]:
        yield f"{fault}; {_REBUILD}."


def _port(host: str, port: int) -> Iterator[str]:
    check_port(host, port)
    yield from ()


def _weights(weights: str | None, trust: bool) -> Iterator[str]:
    load_weights(weights_file(weights))
    model_settings(weights_file(weights), trust)
    yield from ()


def _replay(folder: Path) -> Iterator[str]:
    from lungseg.workflows.label.tasks.training_snapshot import replay_cases

    replay_cases({"dataset_dir": folder})
    yield from ()


def _studies(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        yield f"{folder}: there is no such folder of studies; name another."
        return
    found = find_studies(folder)
    _log("       studies", found.nested)
    yield from found.excluded
    if not found.studies:
        yield f"{folder}: this folder has no studies."
    for file in found.studies:
        try:
            read_radiograph(file)
        except Exception as error:  # one study can lead the libraries to any exception
            yield str(as_lungseg_error(error, "this study cannot be read", file))


def _service(url: str) -> Iterator[str]:
    from base64 import b64encode
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    check_url(url)
    # The server uses MONAI Label's settings.
    prefix, user, password = (
        os.environ.get(f"MONAI_LABEL_{name}", "") for name in ("QIDO_PREFIX", "DICOMWEB_USERNAME", "DICOMWEB_PASSWORD")
    )
    address = "/".join(filter(None, (url.rstrip("/"), prefix, "series?limit=1")))
    try:
        request = Request(address, headers={"Accept": "application/dicom+json"})
        if user:
            credentials = b64encode(f"{user}:{password}".encode("latin-1")).decode()
            request.add_unredirected_header("Authorization", f"Basic {credentials}")
        with urlopen(request, timeout=10):
            pass
    except (HTTPException, OSError, ValueError) as error:
        yield f"{address}: the DICOMweb service does not answer ({error}); check its address, user and password."


def _workspace(studies: str, workspace: str | None, first: Path, trust: bool) -> Iterator[str]:
    folder = Path(workspace) if workspace else default_workspace(studies)
    if folder.exists():
        usable_folder(folder)
        versions = Versions(folder / "versions", first)
        load_weights(versions.active().weights)
        model_settings(versions.active().weights, trust)
        if run := versions.unfinished():
            yield f'{run}: a training is running, or was stopped; resume it with POST /train/… and {{"resume": true}}.'
