# SPDX-License-Identifier: Apache-2.0
"""Find, check and build the second Python environment, which MONAI Label needs."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import platformdirs

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.version import __version__

logger = logging.getLogger(__name__)
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
# The same versions with the hashes of their files, of all but PyTorch; and the packages that build others.
_REQUIREMENTS = CONSTRAINTS.with_name("requirements.txt")
_INSTALLER = CONSTRAINTS.with_name("installer.txt")
VARIABLE = "LUNGSEG_LABEL_ENVIRONMENT"
_STAMP = "lungseg-label"


def environment_folder() -> Path:
    """Return the environment's folder: the variable's, `.venv-label` of a source tree, or one in the user's data."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    tree = _source_tree()
    if tree:
        return tree / ".venv-label"
    return platformdirs.user_data_path("lungseg", appauthor=False) / "label-environment"


def python_of(folder: Path) -> Path:
    """Return the path of the environment's interpreter, which may not exist."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_current(folder: Path) -> bool:
    """Return whether the environment is complete and built from the present constraints."""
    stamp = folder / _STAMP
    return python_of(folder).exists() and stamp.is_file() and stamp.read_text() == _fingerprint()


def ready_python() -> Path:
    """Return an interpreter that has MONAI Label: this one, or that of the second environment.

    The environment is built if it is missing, or was built from other constraints or for another version.

    Raises:
        UsageError: the environment's folder holds something else (not-an-environment).
        LungsegError: a package could not be installed (environment-not-built).
    """
    if find_spec("monailabel"):
        return Path(sys.executable)
    folder = environment_folder()
    if not is_current(folder):
        build(folder)
    return python_of(folder)


def build(folder: Path) -> None:
    """Build the environment from scratch.

    Args:
        folder: where; an earlier environment there is replaced.

    Raises:
        UsageError: the folder holds something else (not-an-environment).
        LungsegError: a package could not be installed (environment-not-built).
    """
    if folder.exists() and not (folder / "pyvenv.cfg").is_file():
        remedy = f"set {VARIABLE} to another folder"
        raise UsageError("this folder is not a Python environment", folder, remedy, code="not-an-environment")
    logger.info("Building the environment of MONAI Label in %s: once, two to five minutes, 3 GB", folder)
    shutil.rmtree(folder, ignore_errors=True)
    _run("create the environment", sys.executable, "-m", "venv", folder)
    pip = (python_of(folder), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    # The list is complete, so that nothing is resolved; without isolation, a build takes nothing that is not in it.
    listed = (*pip, "--require-hashes", "--no-deps", "--no-build-isolation", "--requirement")
    _run("update pip", *listed, _INSTALLER)
    logger.info("Installing MONAI Label …")
    _run("install MONAI Label", *listed, _REQUIREMENTS)
    logger.info("Installing PyTorch …")
    # Alone and with its dependencies, so that pip's own settings choose between the builds for CPU and GPU. The builds
    # differ, so it has no hash.
    _run("install PyTorch", *pip, "--constraint", CONSTRAINTS, "torch")
    logger.info("Installing lungseg …")
    tree = _source_tree()
    if tree:
        _run("install lungseg", *pip, "--no-deps", "--no-build-isolation", "--editable", tree)
    else:
        put_package_into(folder)
    (folder / _STAMP).write_text(_fingerprint())


def _source_tree() -> Path | None:
    """Return the root of the source tree, or None for an installed package."""
    tree = Path(__file__).resolve().parents[3]
    return tree if (tree / "setup.cfg").is_file() and (tree / "lungseg").is_dir() else None


def put_package_into(folder: Path) -> None:
    """Copy the installed package, which carries the bundle and the workflows, into the environment in `folder`."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python_of(folder), "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    for file in distribution("lungseg").files or ():
        if ".." not in file.parts and file.suffix != ".pyc":  # not the console script of this environment
            target = Path(site, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target)


def _fingerprint() -> str:
    # A source tree is installed in place; an installed package is copied, and the copy can become outdated.
    copied = "" if _source_tree() else __version__
    lists = b"".join(file.read_bytes() for file in (CONSTRAINTS, _REQUIREMENTS, _INSTALLER))
    return hashlib.sha256(lists + copied.encode()).hexdigest()


def _run(what: str, *command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        what = f"could not {what} ({lines[-1] if lines else 'no reason given'})"
        raise LungsegError(what, remedy="try again", code="environment-not-built")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print(ready_python())
