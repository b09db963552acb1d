# SPDX-License-Identifier: Apache-2.0
"""One study: fetched from Orthanc, put through the application, and its results put back."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lungseg.workflows.deploy.orthanc.client import Orthanc
from lungseg.workflows.deploy.selection import MANUFACTURER, RADIOGRAPHS

if TYPE_CHECKING:
    from lungseg.workflows.deploy.app import LungsApplication

# Orthanc keeps it with the radiograph, as JSON: what became of it, with which weights. Numbers from 1024 on are free.
OUTCOME = "4862"
# Series of these hold no radiographs: their instances, of which there may be thousands, are not looked at one by one.
_OTHERS = frozenset(("CT", "MR", "PT", "NM", "US", "MG", "XA", "SEG", "SR", "PR", "KO", "DOC", "RTSTRUCT", "RTDOSE"))


@dataclass(frozen=True)
class Found:
    """What a study consists of: all its instances, and the radiographs among them that are not done yet."""

    instances: list[str]
    radiographs: list[str]


@dataclass(frozen=True)
class Handled:
    """What became of a study: how many radiographs by status, and the seconds that each stage took."""

    counts: dict[str, int]
    seconds: dict[str, float]

    def __str__(self) -> str:
        told = ", ".join(f"{number} {status}" for status, number in self.counts.items())
        return f"{told} ({', '.join(f'{stage} {taken:.2f} s' for stage, taken in self.seconds.items())})"


def look_into(orthanc: Orthanc, study: str, weights: str) -> Found:
    """Find the radiographs of a study that these weights have not seen.

    Raises:
        GoneError: the study was deleted.
        UnavailableError: Orthanc does not answer.
    """
    instances, radiographs = [], []
    for series in orthanc.series(study):
        instances += series["Instances"]
        tags = series["MainDicomTags"]
        if tags.get("Manufacturer") == MANUFACTURER or tags.get("Modality") in _OTHERS:
            continue
        for instance in series["Instances"]:
            metadata = orthanc.metadata(instance)
            if metadata.get("SopClassUid") in RADIOGRAPHS and _weights_of(metadata.get(OUTCOME)) != weights:
                radiographs.append(instance)
    return Found(instances, radiographs)


class StudyProcessor:
    """Runs the application on studies.

    Args:
        orthanc: has the studies and gets the results.
        application: is warm, and stays so.
        folder: for the files of the study at hand; emptied before and after.
        send_to: modalities that Orthanc is to send the results to.
    """

    def __init__(self, orthanc: Orthanc, application: LungsApplication, folder: Path, send_to: list[str]) -> None:
        self.orthanc, self.application, self.folder, self.send_to = orthanc, application, folder, send_to

    def __call__(self, study: str, radiographs: list[str]) -> Handled:
        """Process the radiographs of a study; nothing is lost or doubled if this is stopped and begun again.

        Raises:
            UnavailableError: Orthanc does not answer.
            LungsegError: the disk is full, or the application stopped.
        """
        # Killed workers leave patients' pictures behind.
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            return self._process(study, radiographs)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _process(self, study: str, radiographs: list[str]) -> Handled:
        source, output = self.folder / "in", self.folder / "out"
        source.mkdir(parents=True)
        clock = [time.perf_counter()]
        for instance in radiographs:
            (source / f"{instance}.dcm").write_bytes(self.orthanc.fetch(instance))
        clock.append(time.perf_counter())
        summary = self.application.process(source, output)
        clock.append(time.perf_counter())
        for entry in summary["files"]:
            self._put_back(study, entry, output)
        clock.append(time.perf_counter())
        stages = ("fetch", "run", "store")
        seconds = {stage: after - before for stage, before, after in zip(stages, clock, clock[1:], strict=False)}
        return Handled(dict(Counter(entry["status"] for entry in summary["files"])), seconds)

    def _put_back(self, study: str, entry: dict, output: Path) -> None:
        instance = Path(entry["file"]).stem
        stored = []
        for result in entry.get("results", {}).values():
            identifier, filed_under = self.orthanc.store(output / result["file"])
            stored.append(identifier)
            if filed_under != study:
                for wrong in stored:
                    self.orthanc.delete(wrong)
                entry |= {"status": "failed", "reason": "Orthanc filed the result under another study"}
                stored = []
                break
        if stored:
            for modality in self.send_to:
                self.orthanc.send(stored, modality)
        # Last of all: what has an outcome is not looked at again.
        outcome = {
            "weights": self.application.algorithm.weights,
            "status": entry["status"],
            # Without the folder, which is gone by now.
            "reason": entry["reason"].replace(f"{Path(entry['file'])}: ", ""),
            **{name: entry[name] for name in ("quality", "flags", "spacing_kind", "measures") if name in entry},
            "results": stored,
        }
        self.orthanc.set_metadata(instance, OUTCOME, json.dumps(outcome))


def _weights_of(outcome: str | None) -> str | None:
    try:
        return json.loads(outcome)["weights"] if outcome else None
    except (ValueError, KeyError, TypeError):
        return None
