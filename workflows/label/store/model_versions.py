# SPDX-License-Identifier: Apache-2.0
"""The versions of the weights. No version is ever overwritten; one of them is active."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.workflows.label.store.json_files import read_json, write_json


@dataclass(frozen=True)
class Version:
    """Weights that the app can segment with.

    Attributes:
        number: 0 for the weights that the app started with, then 1, 2, …
        weights: their file.
        record: the settings and results of their training, and whether and why they were made active.
    """

    number: int
    weights: Path
    record: dict[str, Any]


class Versions:
    """The versions in a folder: `0001/` is the folder of a training run, `active.json` names the active version.

    A run becomes a version with its `version.json`, which is written last. A run that was stopped before that can be
    resumed.

    Args:
        folder: holds the versions.
        first: file of the weights that are version 0.
    """

    def __init__(self, folder: Path, first: Path) -> None:
        self.folder, self.first = Path(folder), Path(first)

    def all(self) -> list[Version]:
        """Return all versions, by number."""
        found = [Version(0, self.first, {"from": None})]
        for run in self._runs():
            if (run / "version.json").is_file():
                found.append(Version(int(run.name), run / "model.pt", read_json(run / "version.json", {})))
        return found

    def get(self, number: int) -> Version:
        """Return a version.

        Raises:
            UsageError: no version has this number (version-unknown).
        """
        for version in self.all():
            if version.number == number:
                return version
        remedy = "list the versions with GET /lungseg/versions"
        raise UsageError(f"there is no version {number} of the weights", remedy=remedy, code="version-unknown")

    def active(self) -> Version:
        """Return the active version, or the newest one if the active one does not exist any more.

        Raises:
            LungsegError: its weights are missing (version-weights-missing).
        """
        number = read_json(self.folder / "active.json", {"version": 0})["version"]
        try:
            version = self.get(number)
        except UsageError:
            version = self.all()[-1]
        if not version.weights.is_file():
            what = f"the weights of version {version.number} are missing"
            raise LungsegError(what, version.weights, "activate another version", code="version-weights-missing")
        return version

    def activate(self, number: int) -> Version:
        """Make a version the active one, and return it.

        Raises:
            UsageError: no version has this number (version-unknown).
        """
        version = self.get(number)
        log = read_json(self.folder / "active.json", {"version": 0, "log": []})["log"]
        log.append({"version": number, "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        write_json(self.folder / "active.json", {"version": number, "log": log})
        return version

    def new_run(self) -> Path:
        """Create the folder of the next version, and return it."""
        number = max((int(run.name) for run in self._runs()), default=0) + 1
        run = self.folder / f"{number:04d}"
        run.mkdir(parents=True)
        return run

    def unfinished(self) -> Path | None:
        """Return the newest run if it was stopped before it became a version."""
        runs = self._runs()
        return runs[-1] if runs and not (runs[-1] / "version.json").is_file() else None

    def finish(self, run: Path, record: dict[str, Any]) -> Version:
        """Turn a run whose weights exist into a version."""
        write_json(run / "version.json", record)
        return self.get(int(run.name))

    def _runs(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if path.name.isdecimal() and path.is_dir())
