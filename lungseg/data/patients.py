# SPDX-License-Identifier: Apache-2.0
"""Which patient an image is of, by a rule over its name or a table."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from lungseg.io.formats import split_ending
from lungseg.utils.errors import LungsegError, UsageError


def patient_rule(patients: str | PathLike | None) -> Callable[[str], str]:
    """Return the function from a case's name to its patient.

    Args:
        patients: a CSV file with the columns `file` and `patient`, files being told apart by as much of their path as
            that takes; or a regular expression that is searched in the name (its first group, or else the whole match,
            is the patient); or None: each case is a patient of its own.

    Raises:
        LungsegError: the file or the expression is not usable, or (when called) a name has no patient.
    """
    if patients is None:
        return lambda name: name
    if str(patients).lower().endswith(".csv"):
        table = _PatientTable(Path(patients))
        return lambda name: _patient(table.patient(name), name, patients)
    try:
        rule = re.compile(str(patients))
    except re.error as error:
        raise UsageError(
            f"the patient rule {patients!r} is no regular expression ({error})", remedy="correct it"
        ) from error
    return lambda name: _patient((m := rule.search(name)) and m.group(min(1, rule.groups)), name, patients)


class _PatientTable:
    """A CSV file with the columns `file` and `patient`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Stem -> the paths with that stem, without their endings, and their patients.
        self._files: dict[str, dict[str, str]] = defaultdict(dict)
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = [(_without_ending(row["file"]), row["patient"]) for row in csv.DictReader(file)]
        except (OSError, KeyError, TypeError, ValueError) as error:
            what = "this is not a readable CSV file with the columns file and patient"
            raise LungsegError(what, path, "correct it") from error
        for file, patient in rows:
            if self._files[file_stem(file)].setdefault(file, patient) != patient:
                raise LungsegError(f"{file} has two patients in it", path, "correct it")

    def patient(self, name: str) -> str | None:
        """Return the patient of a case: of its path, else of the paths that end in it, else of those of its stem."""
        files = self._files.get(file_stem(name), {})
        if name in files:
            return files[name]
        patients = {found for file, found in files.items() if file.endswith(f"/{name}")} or set(files.values())
        if len(patients) > 1:
            what = f"several files in it could be {name}, of different patients"
            raise LungsegError(what, self.path, "write their paths within the folder of images")
        return next(iter(patients), None)


def _without_ending(file: str) -> str:
    """Return a file's path without the ending that pairing takes off, for other dots belong to the name."""
    path = Path(file)
    return path.with_name((split_ending(path.name) or (path.name,))[0]).as_posix()


def _patient(found: str | None, name: str, rule: object) -> str:
    if not found:
        raise LungsegError(f"{rule} tells no patient", name, "extend the rule to every case")
    return found


def file_stem(name: str) -> str:
    return name.rsplit("/", 1)[-1]
