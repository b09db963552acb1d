# SPDX-License-Identifier: Apache-2.0
"""Read and write the JSON files of a workspace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lungseg.utils.errors import LungsegError
from lungseg.utils.files import atomic_path


def read_json(path: Path, default: Any) -> Any:
    """Return the content of a JSON file, or `default` if the file does not exist.

    Raises:
        LungsegError: the file is damaged (workspace-file-damaged).
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return default
    except (OSError, ValueError) as error:
        remedy = "restore it, or delete it to start again without its content"
        raise LungsegError("the file cannot be read", path, remedy, code="workspace-file-damaged") from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file completely or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
