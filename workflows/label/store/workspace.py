# SPDX-License-Identifier: Apache-2.0
"""The work folder of an app: what it needs besides the studies, and keeps from one start to the next."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path, usable_folder

_MAIN = '''# SPDX-License-Identifier: Apache-2.0
"""What MONAI Label looks for in an app's folder; written by `lungseg label start`."""

from lungseg.workflows.label.torchvision_operators import declare_operators

declare_operators()

from lungseg.workflows.label.application import LungsApp  # noqa: E402, F401
'''


def is_url(studies: str) -> bool:
    """Whether the studies lie in a DICOMweb service and not in a folder."""
    return studies.startswith(("http://", "https://"))


def default_work_folder(studies: str) -> Path:
    """Return the work folder of some studies: in their folder, or for a DICOMweb service where the user keeps state."""
    if is_url(studies):
        name = hashlib.sha256(studies.rstrip("/").encode()).hexdigest()[:12]
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(home) / "lungseg" / f"label-{name}"
    return Path(studies) / ".lungseg-label"


def prepare(folder: Path) -> Path:
    """Make the work folder an app's folder, and return its absolute path.

    Raises:
        UsageError: it cannot be written to.
    """
    folder = usable_folder(folder).resolve()
    with atomic_path(folder / "main.py") as path:
        path.write_text(_MAIN, encoding="utf-8")
    return folder


def read_json(path: Path, default):
    """Return what a JSON file of the work folder holds, or `default` where there is none.

    Raises:
        LungsegError: the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except (OSError, ValueError) as error:
        raise LungsegError("the file cannot be read", path, "restore it, or delete it to begin anew") from error


def write_json(path: Path, content) -> None:
    """Write JSON, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
