# SPDX-License-Identifier: Apache-2.0
"""`lungseg label check`: what is wrong with a set-up, in words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from lungseg.io import read_radiograph
from lungseg.model.paths import weights_file
from lungseg.model.weights import load_weights
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import usable_folder
from lungseg.workflows.label.setup.environment import environment_folder, is_current, python_of
from lungseg.workflows.label.setup.start import check_port
from lungseg.workflows.label.store.model_versions import Versions
from lungseg.workflows.label.store.study_files import look_into
from lungseg.workflows.label.store.workspace import default_work_folder, is_url

_REBUILD = "lungseg label start builds it again if you delete its folder"
_SHOWN = 10
_NEEDED_SPACE = 4 * 2**30


def check(
    studies: str | None,
    port: int = 8000,
    host: str = "127.0.0.1",
    work: str | None = None,
    weights: str | None = None,
    replay_data: str | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Look at all that `start` would need, and say of each whether it is well.

    Args:
        studies, port, host, work, weights, replay_data: see :func:`start.start`; without studies, what they need is
            not looked at.
        say: takes each line.

    Returns:
        The number of faults.
    """
    faults = 0

    def looked_at(what: str, findings: Iterator[str]) -> None:
        nonlocal faults
        try:
            found = list(findings)
        except LungsegError as error:
            found = [str(error)]
        faults += len(found)
        _tell(say, f"fault  {what}", found)
        if not found:
            say(f"well   {what}")

    looked_at("environment", _environment(say))
    looked_at("port", _port(host, port))
    looked_at("weights", _weights(weights))
    if replay_data:
        looked_at("original data", _original(Path(replay_data), say))
    if studies:
        looked_at("studies", _service(studies) if is_url(studies) else _studies(Path(studies), say))
        folder = Path(work) if work else default_work_folder(studies)
        if is_url(studies) or Path(studies).is_dir():
            looked_at("work folder", _work(folder, weights_file(weights)))
    say("All is well." if not faults else f"Faults: {faults}.")
    return faults


def _tell(say: Callable[[str], None], what: str, sentences: list[str]) -> None:
    for sentence in sentences[:_SHOWN]:
        say(f"{what}: {sentence}")
    if len(sentences) > _SHOWN:
        say(f"{what}: {len(sentences) - _SHOWN} more")


def _environment(say: Callable[[str], None]) -> Iterator[str]:
    folder = environment_folder()
    if find_spec("monailabel"):
        python = Path(sys.executable)
    elif is_current(folder):
        python = python_of(folder)
    elif folder.exists():
        yield f"{folder}: it was not built to its end, or from other versions; lungseg label start builds it again."
        return
    else:
        free = shutil.disk_usage(next(parent for parent in folder.parents if parent.exists())).free
        say(f"       environment: not built yet; lungseg label start builds it in {folder}")
        if free < _NEEDED_SPACE:
            yield f"{folder}: it needs 4 GB, and {free / 2**30:.1f} GB are free; make room."
        return
    # Nothing of the folder that one happens to be in is imported (-P).
    done = subprocess.run(
        [python, "-P", "-m", "lungseg.workflows.label.setup.environment_report"], capture_output=True, text=True
    )
    try:
        told = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        yield f"{python}: Python does not run there ({said}); {_REBUILD}."
        return
    say("       " + ", ".join(f"{package} {version}" for package, version in told["versions"].items()))
    for fault in told["faults"]:
        yield f"{fault}; {_REBUILD}."


def _port(host: str, port: int) -> Iterator[str]:
    check_port(host, port)
    yield from ()


def _weights(weights: str | None) -> Iterator[str]:
    load_weights(weights_file(weights))
    yield from ()


def _original(folder: Path, say: Callable[[str], None]) -> Iterator[str]:
    from lungseg.workflows.label.tasks.training_snapshot import replay_cases

    replay_cases({"dataset_dir": folder}, lambda line: say(f"       original data: {line}"))
    yield from ()


def _studies(folder: Path, say: Callable[[str], None]) -> Iterator[str]:
    if not folder.is_dir():
        yield f"{folder}: there is no such folder of studies; name another."
        return
    studies, told, below = look_into(folder)
    _tell(say, "       studies", below)
    yield from told
    if not studies:
        yield f"{folder}: none of its files is listed as a study."
    for file in studies:
        try:
            read_radiograph(file)
        except LungsegError as error:
            yield str(error)


def _service(url: str) -> Iterator[str]:
    from base64 import b64encode
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    # MONAI Label's settings, by which the server asks.
    prefix, user, password = (
        os.environ.get(f"MONAI_LABEL_{name}", "") for name in ("QIDO_PREFIX", "DICOMWEB_USERNAME", "DICOMWEB_PASSWORD")
    )
    asked = "/".join(filter(None, (url.rstrip("/"), prefix, "series?limit=1")))
    try:
        request = Request(asked, headers={"Accept": "application/dicom+json"})
        if user:
            credentials = b64encode(f"{user}:{password}".encode("latin-1")).decode()
            request.add_unredirected_header("Authorization", f"Basic {credentials}")
        with urlopen(request, timeout=10):
            pass
    except (URLError, OSError, ValueError) as error:
        yield f"{asked}: the DICOMweb service does not answer ({error}); check its address, user and password."


def _work(folder: Path, first: Path) -> Iterator[str]:
    if folder.exists():
        usable_folder(folder)
        versions = Versions(folder / "versions", first)
        load_weights(versions.active().weights)
        if run := versions.unfinished():
            yield f'{run}: a training runs, or was stopped; POST /train/… with {{"resume": true}} goes on with it.'
