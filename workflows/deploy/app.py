# SPDX-License-Identifier: Apache-2.0
"""The application: studies in a folder become segmentations, overlays and a summary."""

from __future__ import annotations

import itertools
import json
import os
from os import PathLike
from pathlib import Path

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


class LungsApplication(Application):
    """Segments all frontal radiographs of a folder; may be run again and again in one process.

    Args:
        bundle: what runs.
        device: see :func:`lungseg.inference.devices.choose_device`.
        settings: a file like `app.yaml`, or None for that one.

    Attributes:
        algorithm: names the results.
        input, output: folders of the current run.
        keep_flagged: whether what is flagged gets results all the same.
        stopped_by: why nothing more can be written, as on a full disk.
    """

    def __init__(self, bundle: Bundle, device: str = "auto", settings: str | PathLike | None = None) -> None:
        super().__init__([])
        self.predictor = Predictor(device=device, bundle=bundle)
        self.algorithm = Algorithm(BUNDLE_NAME, bundle.version, weights_hash(bundle.weights), software=__version__)
        settings = Path(settings or _SETTINGS)
        if not settings.is_file():
            raise UsageError("there is no such file of settings", settings, "give a copy of app.yaml")
        self.config(str(settings))
        results = self.kwargs("results")
        wrong = [name for name in ("flagged", "overlays") if not isinstance(results.get(name), bool)]
        if wrong:
            raise UsageError(f"the setting results.{wrong[0]} is neither true nor false", settings, "correct it")
        self.keep_flagged, self._overlays = results["flagged"], results["overlays"]
        self.input = self.output = Path()
        self.stopped_by: LungsegError | None = None

    def compose(self) -> None:
        """Connect the operators; called at the start of each run."""
        algorithm = self.algorithm
        way = [
            FindRadiographsOperator(self, name="find"),
            SegmentLungsOperator(self, name="segment", predictor=self.predictor),
            WriteSegmentationOperator(self, name="write_segmentation", algorithm=algorithm),
        ]
        if self._overlays:
            way.append(WriteOverlayOperator(self, name="write_overlay", algorithm=algorithm))
        way += [VerifyOperator(self, name="verify"), SummarizeOperator(self, name="summarize", algorithm=algorithm)]
        for before, after in itertools.pairwise(way):
            self.add_flow(before, after, {("case", "case")})

    def process(self, source: str | PathLike, output: str | PathLike) -> dict:
        """Run once and return the content of `summary.json`.

        Args:
            source: folder with DICOM files, searched to the bottom.
            output: folder for `summary.json` and a folder per study.

        Raises:
            UsageError: there is no such folder, nothing in it, or the output is the same or cannot be written to.
            LungsegError: the disk is full, or the run did not come to its end.
        """
        if os.path.realpath(source) == os.path.realpath(output):
            raise UsageError("the results would lie among the inputs", output, "choose another folder for them")
        self.input, self.output, self.stopped_by = Path(source), usable_folder(output), None
        if not self.input.is_dir():
            raise UsageError("there is no such folder", source, "give the folder that holds the studies")
        summary = self.output / SUMMARY
        # An old one must not pass for this run's.
        summary.unlink(missing_ok=True)
        self.run()
        if self.stopped_by:
            raise self.stopped_by
        if not summary.is_file():
            raise LungsegError("the application did not come to its end", source, "see its log, and run it again")
        return json.loads(summary.read_text(encoding="utf-8"))
