# SPDX-License-Identifier: Apache-2.0
"""How well the active weights do on each study: looked through in the background, remembered between starts."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lungseg.transforms.orientation import thumbnail
from lungseg.utils.errors import LungsegError, first_line
from lungseg.workflows.label.store.workspace import read_json, write_json
from lungseg.workflows.label.tasks.active_model import ActiveModel

logger = logging.getLogger(__name__)
# New studies are looked for so often, in seconds.
_PAUSE = 5.0
# The findings are written after so many studies, and when none is left.
_SAVE_EVERY = 20
# Interactive requests come first.
_NICENESS = 10


class Scoring:
    """Findings per study: `quality` and `flags` as `lungseg predict` gives them, or `error`, the reason for none.

    Args:
        file: where they are remembered.
        studies: the datastore.
        segmenter: segments.
    """

    def __init__(self, file: Path, studies, segmenter: ActiveModel) -> None:
        self.file, self.studies, self.segmenter = Path(file), studies, segmenter
        self._findings: dict[str, dict] = read_json(self.file, {})
        # What a service did not give is asked for again, in each round.
        self._unreachable: dict[str, dict] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look through the studies in a thread of its own, for as long as the process lives."""
        self._thread = threading.Thread(target=self._run, name="survey", daemon=True)
        self._thread.start()

    def findings(self) -> dict[str, dict]:
        """Return what is known of each study with the active weights, without those that were not looked at yet."""
        weights = self.segmenter.loaded()[2]
        with self._lock:
            known = {image_id: found for image_id, found in self._findings.items() if found["weights"] == weights}
            return self._unreachable | known

    def descriptor(self, image_id: str) -> np.ndarray | None:
        """Return a thumbnail of a study as (256,) float32 with mean 0 and length 1; None where it is not known."""
        found = self._findings.get(image_id)
        if not found or "thumbnail" not in found:
            return None
        return descriptor(bytes.fromhex(found["thumbnail"]))

    def _run(self) -> None:
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        pause = threading.Event()
        while True:
            try:
                self.look_through()
            except Exception:  # whatever happens to one round, the next one is tried
                logger.exception("the survey of the studies was interrupted")
            pause.wait(_PAUSE)

    def look_through(self) -> None:
        """Look at each study that was not looked at yet with the active weights, or is another file by now."""
        unsaved, known = 0, self.findings()
        for image_id in self.studies.list_images():
            unsaved += self._look_at(image_id, known.get(image_id, {}).get("file"))
            if unsaved >= _SAVE_EVERY:
                self._save()
                unsaved = 0
        if unsaved:
            self._save()

    def _look_at(self, image_id: str, seen: list[int] | None) -> bool:
        """Look at a study unless its file was `seen` already, and return whether there is anything to remember."""
        try:
            file = self.studies.file_of(image_id)
            state = _state(file)
        except Exception as error:  # a service can answer anything, or not at all
            with self._lock:
                self._unreachable[image_id] = {"error": _told(error)}
            return False
        with self._lock:
            self._unreachable.pop(image_id, None)
        if state == seen:
            return False
        weights = self.segmenter.loaded()[2]
        try:
            prediction, _, weights = self.segmenter(file)
            finding = {
                "weights": weights,
                "quality": prediction.quality,
                "flags": prediction.flags,
                "thumbnail": thumbnail_bytes(prediction.radiograph.pixels).hex(),
            }
        except Exception as error:  # whatever one picture does to the libraries, the others are still looked at
            finding = {"weights": weights, "error": _told(error)}
        finding["file"] = state
        with self._lock:
            self._findings[image_id] = finding
        return True

    def _save(self) -> None:
        with self._lock:
            content = dict(self._findings)
        write_json(self.file, content)


def _state(file: Path) -> list[int]:
    """Return what differs once a file is replaced: its size, and its time in nanoseconds."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, LungsegError) else first_line(error)


_SIDE = 16


def thumbnail_bytes(pixels: np.ndarray) -> bytes:
    """Return 16 x 16 grey values of a radiograph (H, W), a byte each."""
    small = torch.nn.functional.adaptive_avg_pool2d(thumbnail(torch.from_numpy(pixels)[None]), _SIDE)[0]
    return (small * 255).to(torch.uint8).numpy().tobytes()


def descriptor(content: bytes) -> np.ndarray:
    """Return what `thumbnail_bytes` made as (256,) float32 with mean 0 and length 1."""
    values = np.frombuffer(content, dtype=np.uint8).astype(np.float32)
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)


def most_different(known: dict[str, np.ndarray], labelled: Sequence[np.ndarray]) -> str:
    """Return the name whose descriptor is farthest from its nearest neighbour among `labelled`.

    Args:
        known: name -> (n,) float descriptor, at least one.
        labelled: descriptors; without any the name nearest to the mean is returned.
    """
    names = sorted(known)
    seen = np.stack([known[name] for name in names])
    if not labelled:
        return names[int(np.linalg.norm(seen - seen.mean(0), axis=1).argmin())]
    nearest = np.linalg.norm(seen[:, None] - np.stack(labelled)[None], axis=2).min(1)
    return names[int(nearest.argmax())]
