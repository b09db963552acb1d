# SPDX-License-Identifier: Apache-2.0
"""The second environment, which MONAI Label needs: where it lies, whether it is whole, and how it is built."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.version import __version__

CONSTRAINTS = Path(__file__).with_name("constraints.txt")
VARIABLE = "LUNGSEG_LABEL_ENVIRONMENT"
_PIP = "pip>=25.2,<27"
_STAMP = "lungseg-label"


def environment_folder() -> Path:
    """Return where the environment lies: the variable's folder, `.venv-label` of a source tree, or the user's data."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    tree = _source_tree()
    if tree:
        return tree / ".venv-label"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "lungseg" / "label-environment"


def python_of(folder: Path) -> Path:
    """Return the environment's interpreter, which may be missing."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def is_current(folder: Path) -> bool:
    """Whether the environment was built to its end from what is here."""
    stamp = folder / _STAMP
    return python_of(folder).exists() and stamp.is_file() and stamp.read_text() == _fingerprint()


def ready_python(say: Callable[[str], None]) -> Path:
    """Return an interpreter that has MONAI Label: this one if it does, else that of the second environment.

    The environment is built where it is missing, or was built from other constraints or for another version.

    Args:
        say: takes a line on each step of building.

    Raises:
        UsageError: no environment can be made of this Python.
        LungsegError: a package could not be installed.
    """
    if find_spec("monailabel"):
        return Path(sys.executable)
    folder = environment_folder()
    if not is_current(folder):
        build(folder, say)
    return python_of(folder)


def build(folder: Path, say: Callable[[str], None]) -> None:
    """Build the environment anew.

    Args:
        folder: where; what an earlier build left there is replaced.
        say: takes a line on each step.

    Raises:
        UsageError: the folder holds something else, or no environment can be made of this Python.
        LungsegError: a package could not be installed.
    """
    if folder.exists() and not (folder / "pyvenv.cfg").is_file():
        raise UsageError("the folder holds something else than a Python environment", folder, f"set {VARIABLE}")
    say(f"Building the environment of MONAI Label in {folder}: once, two to five minutes, 3 GB")
    shutil.rmtree(folder, ignore_errors=True)
    _run("make the environment", sys.executable, "-m", "venv", folder)
    pip = (python_of(folder), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run("update pip", *pip, _PIP)
    say("Installing PyTorch …")
    # By itself and with what it needs, so that pip's own settings decide between the builds for CPU and GPU.
    _run("install PyTorch", *pip, "--constraint", CONSTRAINTS, "torch")
    say("Installing MONAI Label …")
    _run("install MONAI Label", *pip, "--no-deps", "--requirement", CONSTRAINTS)
    say("Installing lungseg …")
    tree = _source_tree()
    if tree:
        _run("install lungseg", *pip, "--no-deps", "--editable", tree)
    else:
        put_package_into(folder)
    (folder / _STAMP).write_text(_fingerprint())


def _source_tree() -> Path | None:
    """Return the folder that this package runs from as source, if it does."""
    tree = Path(__file__).resolve().parents[3]
    return tree if (tree / "setup.cfg").is_file() and (tree / "lungseg").is_dir() else None


def put_package_into(folder: Path) -> None:
    """Copy the installed package, which carries the bundle and the workflows, into the environment in `folder`."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python_of(folder), "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    for file in distribution("lungseg").files:
        if ".." not in file.parts and file.suffix != ".pyc":  # no console script, which is of the other environment
            target = Path(site, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target)


def _fingerprint() -> str:
    # A source tree is installed as it is; of an installed package the environment has a copy, which grows old.
    copied = "" if _source_tree() else __version__
    return hashlib.sha256(CONSTRAINTS.read_bytes() + copied.encode()).hexdigest()


def _run(what: str, *command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise LungsegError(f"could not {what} ({said[-1].strip() if said else 'no reason given'})", remedy="try again")


if __name__ == "__main__":
    print(ready_python(print))
