# SPDX-License-Identifier: Apache-2.0
"""What `lungseg predict` writes of each radiograph, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from lungseg.images import draw_overlay, write_png
from lungseg.predictor import Prediction


def _write_mask(path: Path, prediction: Prediction, source: Path) -> None:
    write_png(path, prediction.mask)


def _write_labels(path: Path, prediction: Prediction, source: Path) -> None:
    write_png(path, prediction.labels)


def _write_overlay(path: Path, prediction: Prediction, source: Path) -> None:
    write_png(path, draw_overlay(prediction.radiograph.pixels, prediction.labels))


# Kind -> ending of its files, and what writes one.
KINDS: dict[str, tuple[str, Callable[[Path, Prediction, Path], None]]] = {
    "labels": (".png", _write_labels),
    "overlays": (".png", _write_overlay),
    "masks": (".png", _write_mask),
}


class Outputs:
    """The files of each radiograph: all of them are written, or none.

    Args:
        folder: where the kinds' folders are made.
        kinds: names among `KINDS`.
    """

    def __init__(self, folder: Path, kinds: Iterable[str] = ("labels", "overlays", "masks")) -> None:
        self.folder, self.kinds = Path(folder), tuple(kinds)

    def targets(self, stem: Path) -> dict[str, Path]:
        """Return kind -> file for an input whose results are called `stem` (which may have sub-folders)."""
        return {kind: self.folder / kind / f"{stem}{KINDS[kind][0]}" for kind in self.kinds}

    def write(self, prediction: Prediction, source: Path, stem: Path) -> None:
        """Write all kinds for the input file `source`.

        Raises:
            LungsegError: a file cannot be written.
        """
        written: list[Path] = []
        try:
            for kind, target in self.targets(stem).items():
                KINDS[kind][1](target, prediction, source)
                written.append(target)
        except BaseException:  # Ctrl-C among them
            for file in written:
                file.unlink(missing_ok=True)
            raise
