# SPDX-License-Identifier: Apache-2.0
"""The versions of the weights: none is ever overwritten, and one of them is active."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.workflows.label.store.workspace import read_json, write_json


@dataclass(frozen=True)
class Version:
    """Weights that the app can segment with.

    Attributes:
        number: 0 for the weights that the app began with, then 1, 2, …
        weights: their file.
        record: what was written down when they were trained: labels, figures, whether they were made active and why.
    """

    number: int
    weights: Path
    record: dict


class Versions:
    """The versions in a folder: `0001/` is the folder of a training run, `active.json` names the active one.

    A version counts once its `version.json` is there, which is written last: what a killed training left behind is
    none, and can be gone on with.

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
            UsageError: there is none of this number.
        """
        for version in self.all():
            if version.number == number:
                return version
        raise UsageError(f"there is no version {number} of the weights", remedy="list them with GET /lungseg/versions")

    def active(self) -> Version:
        """Return the version that is segmented with; the newest that is whole where the active one is gone."""
        number = read_json(self.folder / "active.json", {"version": 0})["version"]
        try:
            version = self.get(number)
        except UsageError:
            version = self.all()[-1]
        if not version.weights.is_file():
            raise LungsegError(f"the weights of version {version.number} are gone", version.weights, "activate another")
        return version

    def activate(self, number: int) -> Version:
        """Make a version the active one, and return it.

        Raises:
            UsageError: there is none of this number.
        """
        version = self.get(number)
        log = read_json(self.folder / "active.json", {"version": 0, "log": []})["log"]
        log.append({"version": number, "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        write_json(self.folder / "active.json", {"version": number, "log": log})
        return version

    def new_run(self) -> Path:
        """Make the folder of the next version, and return it."""
        number = max((int(run.name) for run in self._runs()), default=0) + 1
        run = self.folder / f"{number:04d}"
        run.mkdir(parents=True)
        return run

    def unfinished(self) -> Path | None:
        """Return the newest run that was stopped before it became a version, if it is newer than all versions."""
        runs = self._runs()
        return runs[-1] if runs and not (runs[-1] / "version.json").is_file() else None

    def finish(self, run: Path, record: dict) -> Version:
        """Make a version of a run whose weights are there."""
        write_json(run / "version.json", record)
        return self.get(int(run.name))

    def _runs(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if path.name.isdecimal() and path.is_dir())
