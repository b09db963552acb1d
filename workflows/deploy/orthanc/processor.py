# SPDX-License-Identifier: Apache-2.0
"""Fetch one study from Orthanc, run the application on it, and store the results in Orthanc."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungseg.io.dicom.stated_object import OTHER_MODALITIES
from lungseg.workflows.deploy.orthanc.client import GoneError, Orthanc
from lungseg.workflows.deploy.selection import MANUFACTURER, RADIOGRAPHS

if TYPE_CHECKING:
    from lungseg.workflows.deploy.app import LungsApplication

logger = logging.getLogger(__name__)

# Orthanc keeps the outcome as metadata of the radiograph, in JSON. Numbers from 1024 on are free for applications.
OUTCOME = "4862"
# The items of a summary's entry that the outcome keeps.
_KEPT = ("quality", "quality_lower", "doubts", "notes", "spacing_kind", "measures", "ctr_note")


@dataclass(frozen=True)
class StudyContent:
    """All instances of a study, and those of them that are radiographs to be processed."""

    instances: list[str]
    radiographs: list[str]


@dataclass(frozen=True)
class StudyOutcome:
    """How many radiographs of a study have each status, and the seconds that each stage took."""

    counts: dict[str, int]
    seconds: dict[str, float]

    def __str__(self) -> str:
        counts = ", ".join(f"{number} {status}" for status, number in self.counts.items())
        return f"{counts} ({', '.join(f'{stage} {taken:.2f} s' for stage, taken in self.seconds.items())})"


def read_study(orthanc: Orthanc, study: str, weights: str) -> StudyContent:
    """List the instances of a study, and the radiographs that have no outcome of these weights.

    Raises:
        GoneError: the study was deleted.
        UnavailableError: Orthanc does not answer.
    """
    instances: list[str] = []
    radiographs: list[str] = []
    for tags, inside in orthanc.series(study):
        instances += inside
        # Series of other modalities may have thousands of instances, which are not read one by one.
        if tags.get("Manufacturer") == MANUFACTURER or tags.get("Modality") in OTHER_MODALITIES:
            continue
        for instance in inside:
            metadata = orthanc.metadata(instance)
            if metadata.get("SopClassUid") in RADIOGRAPHS and _weights_of(metadata.get(OUTCOME)) != weights:
                radiographs.append(instance)
    return StudyContent(instances, radiographs)


class StudyProcessor:
    """Run the application on studies.

    Args:
        orthanc: has the studies and gets the results.
        application: is loaded once for all studies.
        folder: for the files of the current study; removed before and after.
        send_to: modalities to which Orthanc sends the results.
    """

    def __init__(self, orthanc: Orthanc, application: LungsApplication, folder: Path, send_to: list[str]) -> None:
        self.orthanc, self.application, self.folder, self.send_to = orthanc, application, folder, send_to

    def __call__(self, study: str, radiographs: list[str]) -> StudyOutcome:
        """Process the radiographs of a study; after an interruption, repeating it loses and doubles nothing.

        Raises:
            UnavailableError: Orthanc does not answer.
            LungsegError: the disk is full, or the application stopped.
        """
        # A worker that was killed leaves radiographs of patients behind.
        self._remove_folder()
        try:
            return self._process(study, radiographs)
        finally:
            self._remove_folder()

    def _remove_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            logger.warning("%s: radiographs of patients could not be removed from this folder.", self.folder)

    def _process(self, study: str, radiographs: list[str]) -> StudyOutcome:
        source, output = self.folder / "in", self.folder / "out"
        source.mkdir(parents=True)
        clock = [time.perf_counter()]
        for instance in radiographs:
            with suppress(GoneError):
                (source / f"{instance}.dcm").write_bytes(self.orthanc.fetch(instance))
        if not any(source.iterdir()):
            raise GoneError("its radiographs were deleted", self.orthanc.url, code="orthanc-gone")
        clock.append(time.perf_counter())
        summary = self.application.process(source, output)
        clock.append(time.perf_counter())
        for entry in summary["files"]:
            self._store_results(study, entry, output)
        clock.append(time.perf_counter())
        stages = ("fetch", "run", "store")
        seconds = {stage: after - before for stage, before, after in zip(stages, clock, clock[1:], strict=False)}
        return StudyOutcome(dict(Counter(entry["status"] for entry in summary["files"])), seconds)

    def give_up(self, instance: str, reason: str) -> None:
        """Give a radiograph the outcome "failed", so that no worker with these weights tries it again.

        Raises:
            GoneError: it was deleted.
            UnavailableError: Orthanc does not answer.
        """
        outcome = {
            "weights": self.application.algorithm.weights,
            "status": "failed",
            "code": "given-up",
            "reason": reason,
            "results": [],
        }
        self.orthanc.set_metadata(instance, OUTCOME, json.dumps(outcome))
        logger.warning("instance %s failed (given-up); its metadata %s has the reason.", instance, OUTCOME)

    def _store_results(self, study: str, entry: dict[str, Any], output: Path) -> None:
        instance = Path(entry["file"]).stem
        stored: list[str] = []
        try:
            # What was deleted meanwhile must not come back with its results.
            self.orthanc.metadata(instance)
            for result in entry.get("results", {}).values():
                identifier, parent = self.orthanc.store(output / result["file"])
                stored.append(identifier)
                if parent != study:
                    self._delete(stored)
                    reason = "Orthanc filed the result under another study"
                    entry |= {"status": "failed", "code": "filed-elsewhere", "reason": reason}
                    stored = []
                    break
            for modality in self.send_to if stored else ():
                self.orthanc.send(stored, modality)
            self._store_outcome(instance, entry, stored)
        except GoneError:
            self._delete(stored)
            logger.info("instance %s was deleted meanwhile; its results are not kept.", instance)

    def _delete(self, instances: list[str]) -> None:
        for instance in instances:
            with suppress(GoneError):
                self.orthanc.delete(instance)

    def _store_outcome(self, instance: str, entry: dict[str, Any], stored: list[str]) -> None:
        if entry["status"] == "failed":
            # The reason may quote the header, which names the patient.
            message = "instance %s failed (%s); its metadata %s has the reason."
            logger.warning(message, instance, entry["code"], OUTCOME)
        elif entry["status"] == "flagged" and entry["code"]:
            message = "instance %s gets no results (%s); its metadata %s has the reason."
            logger.warning(message, instance, entry["code"], OUTCOME)
        # The last step: an instance that has an outcome is not processed again.
        outcome: dict[str, Any] = {
            "weights": self.application.algorithm.weights,
            "status": entry["status"],
            "code": entry["code"],
            # Without the folder, which is removed.
            "reason": entry["reason"].replace(f"{Path(entry['file'])}: ", ""),
            **{name: entry[name] for name in _KEPT if name in entry},
            "results": stored,
        }
        self.orthanc.set_metadata(instance, OUTCOME, json.dumps(outcome))


def _weights_of(outcome: str | None) -> str | None:
    """Return the weights of an outcome, or None without an outcome that this worker can read."""
    try:
        return str(json.loads(outcome)["weights"]) if outcome else None
    except (ValueError, KeyError, TypeError) as error:
        logger.debug("metadata %s is not an outcome of this worker (%s)", OUTCOME, type(error).__name__)
        return None
