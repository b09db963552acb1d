# SPDX-License-Identifier: Apache-2.0
"""Estimate the quality of the active weights on each study, in the background, and keep the result between starts."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any, Protocol

from lungseg.utils.errors import LungsegError, first_line
from lungseg.utils.text import escape_control
from lungseg.workflows.label.store.json_files import read_json, write_json
from lungseg.workflows.label.store.stored_values import check_storable
from lungseg.workflows.label.tasks.active_model import ActiveModel

logger = logging.getLogger(__name__)
# The time between two searches for new studies, in seconds.
_PAUSE = 5.0
# The scores are written after this many studies, and when no study is left.
_SAVE_EVERY = 20
# Requests of users come first.
_NICENESS = 10


class Studies(Protocol):
    """The part of a datastore that scoring uses."""

    def list_images(self) -> list[str]:
        """Return the ids of the studies."""

    def file_of(self, image_id: str) -> Path | None:
        """Return the file of a study, or None if there is no such study."""


class Scoring:
    """The findings of each study: `quality`, `quality_lower`, `doubts` and `notes` as in `lungseg predict`, or `error`.

    Args:
        file: keeps the findings.
        studies: the datastore.
        model: segments the studies.
    """

    def __init__(self, file: Path, studies: Studies, model: ActiveModel) -> None:
        self.file, self.studies, self.model = Path(file), studies, model
        self._findings = _read(self.file)
        # These studies could not be fetched and are tried again in each round.
        self._unreachable: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to score the studies in a thread, for as long as the process lives."""
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)
        self._thread.start()

    def findings(self) -> dict[str, dict[str, Any]]:
        """Return the findings with the active weights; studies that were not scored yet are missing."""
        weights = self.model.loaded()[2]
        with self._lock:
            known = {image_id: found for image_id, found in self._findings.items() if found["weights"] == weights}
            return self._unreachable | known

    def _run(self) -> None:
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        pause = threading.Event()
        while True:
            try:
                self.score_all()
            except Exception:  # one failed round must not end the thread
                logger.exception("the scoring of the studies was interrupted")
            pause.wait(_PAUSE)

    def score_all(self) -> None:
        """Score each study that was not scored with the active weights yet, or whose file has changed."""
        unsaved, known = 0, self.findings()
        for image_id in self.studies.list_images():
            unsaved += self._score(image_id, known.get(image_id, {}).get("file"))
            if unsaved >= _SAVE_EVERY:
                self._save()
                unsaved = 0
        if unsaved:
            self._save()

    def _score(self, image_id: str, scored: list[int] | None) -> bool:
        """Score a study unless its file is the one that was `scored`, and return whether there is a new finding."""
        try:
            file = self.studies.file_of(image_id)
            if file is None:  # removed since it was listed
                return False
            state = _state(file)
        except Exception as error:  # a service can answer anything, or not at all
            with self._lock:
                self._unreachable[image_id] = {"error": _sentence(error)}
            return False
        with self._lock:
            self._unreachable.pop(image_id, None)
        if state == scored:
            return False
        weights = self.model.loaded()[2]
        finding: dict[str, Any]
        try:
            prediction, _, weights = self.model(file)
            finding = {"weights": weights, **prediction.judgement}
            check_storable(finding, "the result")
        except Exception as error:  # a picture can make the libraries raise anything; the others are still scored
            finding = {"weights": weights, "error": _sentence(error)}
        finding["file"] = state
        with self._lock:
            self._findings[image_id] = finding
        return True

    def _save(self) -> None:
        with self._lock:
            content = dict(self._findings)
        write_json(self.file, content)


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """Return the findings in a file, without those that an answer could not contain; they are made again."""
    try:
        known = read_json(file, {})
    except LungsegError as error:
        logger.warning("the studies are scored again: %s", error)
        return {}
    return {name: found for name, found in known.items() if _is_finding(found)} if isinstance(known, dict) else {}


def _is_finding(found: Any) -> bool:
    if not isinstance(found, dict) or not isinstance(found.get("weights"), str):
        return False
    try:
        check_storable(found, "the result")
    except LungsegError:
        return False
    return isinstance(found.get("quality"), int | float | None)


def _state(file: Path) -> list[int]:
    """Return the size of a file and its time in nanoseconds, one of which differs once the file is replaced."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, LungsegError) else escape_control(first_line(error))
