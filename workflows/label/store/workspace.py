# SPDX-License-Identifier: Apache-2.0
"""The workspace of an app: the folder of everything that it keeps besides the studies and their labels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import platformdirs

from lungseg.utils.files import atomic_path, private_folder
from lungseg.utils.names import path_inside
from lungseg.workflows.label.store.migration import migrate

_MAIN = Path(__file__).resolve().parents[1] / "main.py"


def is_url(studies: str) -> bool:
    """Return whether the studies come from a DICOMweb service and not from a folder."""
    return studies.startswith(("http://", "https://"))


def default_workspace(studies: str) -> Path:
    """Return the default workspace: in the folder of studies, or for a DICOMweb service in the user's state folder.

    Raises:
        LungsegError: in the folder of studies, it is a link (name-is-link).
    """
    if not is_url(studies):
        return path_inside(studies, ".lungseg-label")
    name = f"label-{hashlib.sha256(studies.rstrip('/').encode()).hexdigest()[:12]}"
    workspace = platformdirs.user_state_path("lungseg", appauthor=False) / name
    # Version 0.3 used this folder on every system.
    earlier = Path.home() / ".local" / "state" / "lungseg" / name
    return earlier if earlier.is_dir() and not workspace.is_dir() else workspace


def prepare_workspace(folder: Path) -> Path:
    """Create a workspace, or bring an earlier one up to date, and return its absolute path.

    It holds scores, logs and radiographs of patients, so other users cannot enter it.

    Raises:
        UsageError: the folder cannot be written to, or is for all users.
        LungsegError: one of its files is damaged.
    """
    folder = private_folder(folder).resolve()
    migrate(folder)
    with atomic_path(folder / "main.py") as path:
        path.write_bytes(_MAIN.read_bytes())
    return folder
