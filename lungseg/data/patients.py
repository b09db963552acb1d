# SPDX-License-Identifier: Apache-2.0
"""Find the patient of an image by a rule on its name or a table."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from lungseg.io.formats import split_ending
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.text import restore_cell


def patient_rule(patients: str | PathLike[str] | None) -> Callable[[str], str]:
    """Return the function from a case's name to its patient.

    Args:
        patients: a CSV file with the columns `file` and `patient`, where a file is named by as much of its path as is
            needed to be unique; or a regular expression that is searched in the name (its first group, or else the
            whole match, is the patient); or None: each case is a different patient.

    Raises:
        UsageError: the regular expression is not valid.
        LungsegError: the file cannot be used, or (when the rule is called) a name has no patient.
    """
    if patients is None:
        return lambda name: name
    if str(patients).lower().endswith(".csv"):
        table = _PatientTable(Path(patients))
        return lambda name: _patient(table.patient(name), name, patients)
    try:
        rule = re.compile(str(patients))
    except re.error as error:
        what = f"the patient rule {patients!r} is not a regular expression ({error})"
        raise UsageError(what, remedy="correct it", code="patient-rule-invalid") from error

    def patient_of(name: str) -> str:
        match = rule.search(name)
        return _patient(match and match.group(min(1, rule.groups)), name, patients)

    return patient_of


class _PatientTable:
    """A CSV file with the columns `file` and `patient`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Stem -> the paths with that stem, without their endings, and their patients.
        self._files: dict[str, dict[str, str]] = defaultdict(dict)
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                # The files may have been copied from a report.
                rows = [(restore_cell(without_ending(row["file"])), row["patient"]) for row in csv.DictReader(file)]
        except (OSError, KeyError, TypeError, ValueError) as error:
            what = "this is not a readable CSV file with the columns file and patient"
            raise LungsegError(what, path, "correct it", code="patient-table-invalid") from error
        for name, patient in rows:
            if self._files[file_stem(name)].setdefault(name, patient) != patient:
                raise LungsegError(f"{name} has two patients in it", path, "correct it", code="patient-ambiguous")

    def patient(self, name: str) -> str | None:
        """Return the patient of a case: of its path, else of paths that end in it, else of paths with its stem."""
        files = self._files.get(file_stem(name), {})
        if name in files:
            return files[name]
        patients = {found for file, found in files.items() if file.endswith(f"/{name}")} or set(files.values())
        if len(patients) > 1:
            what = f"several files in it could be {name}, of different patients"
            remedy = "write their paths within the folder of images"
            raise LungsegError(what, self.path, remedy, code="patient-ambiguous")
        return next(iter(patients), None)


def without_ending(file: str) -> str:
    """Return the path of a file without the ending of a picture; other dots belong to the name."""
    path = Path(file)
    return path.with_name((split_ending(path.name) or (path.name,))[0]).as_posix()


def _patient(found: str | None, name: str, rule: object) -> str:
    if not found:
        what = f"the patient rule {rule} matches no patient in this name"
        raise LungsegError(what, name, "extend the rule to every case", code="patient-missing")
    return found


def file_stem(name: str) -> str:
    """Return the last part of a case's name."""
    return name.rsplit("/", 1)[-1]
