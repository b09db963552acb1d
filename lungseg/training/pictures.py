# SPDX-License-Identifier: Apache-2.0
"""Pictures of validation images for TensorBoard."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.handlers import TensorBoardHandler
from numpy.typing import NDArray

from lungseg.io import read_radiograph
from lungseg.io.overlay import draw_overlay
from lungseg.training.comparison import compared
from lungseg.training.engine import MonaiEngine, is_main_process
from lungseg.utils.text import escape_control

# Longer side in pixels.
_SIZE = 400
# A run of a hundred epochs would write pictures of many megabytes.
_MOST_TIMES = 12


class ValidationPictures(TensorBoardHandler):
    """Give TensorBoard the first images of a validation, with the outlines of the lungs found and of the reference.

    The pictures are as in the file: height first, without a turn, so that the patient's right lung is on the left. The
    reference is dashed. A long run has pictures of about twelve epochs.

    Args:
        log_dir: folder of TensorBoard's files.
        epochs: number of epochs of the run.
        count: number of images.
    """

    def __init__(self, log_dir: str | PathLike[str], epochs: int, count: int = 4) -> None:
        super().__init__(log_dir=str(log_dir))
        self._between, self._count = epochs / _MOST_TIMES, count
        self._next, self._left = 0.0, 0
        self._images: dict[str, NDArray[Any]] = {}

    def attach(self, engine: MonaiEngine) -> None:
        """Attach to a MONAI SupervisedEvaluator that decollates its batches."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._show)
        engine.add_event_handler(Events.COMPLETED, self._flush)

    def _start(self, engine: MonaiEngine) -> None:
        wanted = is_main_process() and engine.state.epoch >= self._next
        self._left = self._count if wanted else 0
        if wanted:
            self._next = engine.state.epoch + self._between

    def _show(self, engine: MonaiEngine) -> None:
        for item, output in zip(engine.state.batch, engine.state.output, strict=True):
            if not self._left:
                return
            self._left -= 1
            file = str(item["image"].meta["filename_or_obj"])
            pred, reference = compared(output["pred"], torch.as_tensor(output["label"]))
            step = max(1, -(-max(pred.shape) // _SIZE))
            if file not in self._images:
                # The few images are read once; every step-th pixel is enough for a look.
                self._images[file] = read_radiograph(file).pixels[::step, ::step].copy()
            found, drawn = (np.asarray(one[0].cpu(), np.uint8).T[::step, ::step] for one in (pred, reference))
            picture = draw_overlay(self._images[file], found, drawn)
            # The writer takes no name that is not text.
            name = escape_control(item.get("name", Path(file).stem))
            self._writer.add_image(f"validation/{name}", picture, engine.state.epoch, dataformats="HWC")

    def _flush(self, engine: MonaiEngine) -> None:
        self._writer.flush()
