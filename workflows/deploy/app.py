# SPDX-License-Identifier: Apache-2.0
"""The application: studies in a folder become segmentations, overlays and a summary."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from concurrent.futures import wait
from os import PathLike
from pathlib import Path
from typing import Any

from monai.deploy.core import Application

from lungseg.inference.predictor import Predictor
from lungseg.io.dicom.derived import Algorithm
from lungseg.model.bundle import Bundle
from lungseg.model.paths import BUNDLE_NAME
from lungseg.model.weights import weights_hash
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import usable_folder
from lungseg.version import __version__
from lungseg.workflows.deploy.operators.find import FindRadiographsOperator
from lungseg.workflows.deploy.operators.segment import SegmentLungsOperator
from lungseg.workflows.deploy.operators.summarize import SUMMARY, SummarizeOperator
from lungseg.workflows.deploy.operators.verify import VerifyOperator
from lungseg.workflows.deploy.operators.write_overlay import WriteOverlayOperator
from lungseg.workflows.deploy.operators.write_segmentation import WriteSegmentationOperator

_SETTINGS = Path(__file__).with_name("app.yaml")
# The values of the settings under `results`; one that is not there has the first value.
_RESULTS: dict[str, tuple[object, ...]] = {
    "doubtful": ("send", "withhold"),
    "not_frontal": ("withhold", "send"),
    "extent": ("visible", "full"),
    "heart": (False, True),
    "overlays": (True, False),
}


class LungsApplication(Application):  # type: ignore[misc]
    """Segment all frontal radiographs of a folder; one process may run it many times.

    Args:
        bundle: the network, its configs and its weights.
        device: see :func:`lungseg.inference.devices.choose_device`.
        settings: a file like `app.yaml`, or None for that file.

    Attributes:
        algorithm: name and version of the bundle, as the results state them.
        input, output: folders of the current run.
        begun: is set once the current run has begun.
        withheld: "doubtful" if a doubted radiograph gets no results, "not_frontal" if an image that is not a frontal
            chest radiograph gets none.
        stopped_by: the error that ends the run, such as a full disk or Ctrl-C; None without one.

    Raises:
        UsageError: there is no such bundle, device or file of settings, or a setting has a wrong value, or asks for the
            heart or the full extent of a bundle that does not know them.
    """

    def __init__(self, bundle: Bundle, device: str = "auto", settings: str | PathLike[str] | None = None) -> None:
        super().__init__([])
        self.algorithm = Algorithm(BUNDLE_NAME, bundle.version, weights_hash(bundle.weights), software=__version__)
        settings = Path(settings or _SETTINGS)
        if not settings.is_file():
            raise UsageError("this file does not exist", settings, "give a copy of app.yaml", code="settings-missing")
        self.config(str(settings))
        results = {name: known[0] for name, known in _RESULTS.items()} | self.kwargs("results")
        for name, known in _RESULTS.items():
            value = results[name]
            if not isinstance(value, type(known[0])) or value not in known:
                choices = " or ".join(str(choice).lower() for choice in known)
                what = f"the setting results.{name} cannot be {value!r}"
                raise UsageError(what, settings, f"set it to {choices}", code="setting-invalid")
        self.withheld = frozenset(name for name in ("doubtful", "not_frontal") if results[name] == "withhold")
        self._overlays = results["overlays"]
        extent, heart = str(results["extent"]), bool(results["heart"])
        self.predictor = Predictor(device=device, bundle=bundle, extent=extent, heart=heart)
        self.input = self.output = Path()
        self.begun = threading.Event()
        self.stopped_by: BaseException | None = None

    def compose(self) -> None:
        """Connect the operators; MONAI Deploy calls it at the start of each run."""
        algorithm = self.algorithm
        operators = [
            FindRadiographsOperator(self, name="find"),
            SegmentLungsOperator(self, name="segment", predictor=self.predictor),
            WriteSegmentationOperator(self, name="write_segmentation", algorithm=algorithm),
        ]
        if self._overlays:
            operators.append(WriteOverlayOperator(self, name="write_overlay", algorithm=algorithm))
        operators.append(VerifyOperator(self, name="verify"))
        operators.append(SummarizeOperator(self, name="summarize", algorithm=algorithm))
        for before, after in itertools.pairwise(operators):
            self.add_flow(before, after, {("study_file", "study_file")})

    def process(self, source: str | PathLike[str], output: str | PathLike[str]) -> dict[str, Any]:
        """Run once and return the content of `summary.json`.

        Args:
            source: folder with DICOM files, searched with all its subfolders.
            output: folder for `summary.json` and one folder per study.

        Raises:
            UsageError: `source` does not exist or is empty, or `output` is the same folder or not writable.
            LungsegError: the disk is full, or the run ended early.
            KeyboardInterrupt: it was stopped; the file under way was finished before.
        """
        if os.path.realpath(source) == os.path.realpath(output):
            what, remedy = "the results would lie among the inputs", "choose another folder for the results"
            raise UsageError(what, output, remedy, code="output-among-inputs")
        self.input, self.output, self.stopped_by = Path(source), usable_folder(output), None
        if not self.input.is_dir():
            remedy = "give the folder that holds the studies"
            raise UsageError("this folder does not exist", source, remedy, code="folder-missing")
        if not any(self.input.iterdir()):
            remedy = "name a folder with DICOM files"
            raise UsageError("the folder is empty", source, remedy, code="no-pictures")
        summary = self.output / SUMMARY
        # The summary of an earlier run must not be taken for the one of this run.
        summary.unlink(missing_ok=True)
        self._run_to_the_end()
        if self.stopped_by:
            raise self.stopped_by
        if not summary.is_file():
            what, remedy = "the application ended before it had processed all files", "read its log, and run it again"
            raise LungsegError(what, source, remedy, code="application-stopped")
        content: dict[str, Any] = json.loads(summary.read_text(encoding="utf-8"))
        return content

    def _run_to_the_end(self) -> None:
        """Run in another thread; a signal ends the run after the file under way.

        Holoscan would take the signals: it ends the process after three seconds, or hands them to Python when nobody
        waits for them any more.
        """
        # One for each run: the last one may still be about to set its own.
        self.begun = begun = threading.Event()
        running = self.run_async()
        running.add_done_callback(lambda _: begun.set())
        try:
            begun.wait()
            _take_signals_back()
            running.result()
        except KeyboardInterrupt as stop:
            self.stopped_by = stop
            wait([running])


def _take_signals_back() -> None:
    """Let Python handle the signals again that Holoscan handles while it runs."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            # None: another program handles it, of which this one is a part.
            if (handler := signal.getsignal(number)) is not None:
                signal.signal(number, handler)
