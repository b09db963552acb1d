# SPDX-License-Identifier: Apache-2.0
"""What `lungseg predict` writes of each radiograph, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lungseg.errors import UsageError
from lungseg.files import atomic_path

# The command line names the kinds: nothing that takes long to import stands above.
if TYPE_CHECKING:
    from lungseg.predictor import Prediction


def _mask(prediction: Prediction, source: Path) -> bytes:
    from lungseg.images import encode_png

    return encode_png(prediction.mask)


def _labels(prediction: Prediction, source: Path) -> bytes:
    from lungseg.images import encode_png

    return encode_png(prediction.labels)


def _overlay(prediction: Prediction, source: Path) -> bytes:
    from lungseg.images import draw_overlay, encode_png

    return encode_png(draw_overlay(prediction.radiograph.pixels, prediction.labels))


def _probabilities(prediction: Prediction, source: Path) -> bytes:
    import numpy as np

    from lungseg.images import encode_png

    lungs = prediction.probabilities.sum(axis=0).clip(0, 1)
    return encode_png(np.rint(lungs * 65535).astype(np.uint16))


# Kind -> ending of its files, and what turns a prediction and the file it was made from into the content of one.
KINDS: dict[str, tuple[str, Callable[[Prediction, Path], bytes]]] = {
    "masks": (".png", _mask),
    "labels": (".png", _labels),
    "overlays": (".png", _overlay),
    "probabilities": (".png", _probabilities),
}
DEFAULT_KINDS = ("masks", "labels", "overlays")


class Outputs:
    """The files of each radiograph: all of them are written, or none.

    Args:
        folder: where the kinds' folders are made.
        kinds: names among `KINDS`.

    Raises:
        UsageError: there is no such kind.
    """

    def __init__(self, folder: Path, kinds: Iterable[str] = DEFAULT_KINDS) -> None:
        self.folder, self.kinds = Path(folder), tuple(dict.fromkeys(kinds))
        for kind in self.kinds:
            if kind not in KINDS:
                raise UsageError(
                    f"there is no kind of output called {kind!r}", remedy=f"choose among {', '.join(KINDS)}"
                )

    def targets(self, stem: Path) -> dict[str, Path]:
        """Return kind -> file for an input whose results are called `stem` (which may have sub-folders)."""
        return {kind: self.folder / kind / f"{stem}{KINDS[kind][0]}" for kind in self.kinds}

    def write(self, prediction: Prediction, source: Path, stem: Path) -> None:
        """Write all kinds for the input file `source`.

        Raises:
            LungsegError: a kind cannot be made of this file, or a file cannot be written.
        """
        contents = {kind: KINDS[kind][1](prediction, source) for kind in self.kinds}
        written: list[Path] = []
        try:
            for kind, target in self.targets(stem).items():
                with atomic_path(target) as temporary:
                    temporary.write_bytes(contents[kind])
                written.append(target)
        except BaseException:  # Ctrl-C among them
            for file in written:
                file.unlink(missing_ok=True)
            raise
