# SPDX-License-Identifier: Apache-2.0
"""The kinds of output that `lungseg predict` writes for each radiograph, and where their files lie."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path, writing_failed

# The command line names the kinds: nothing that takes long to import stands above.
if TYPE_CHECKING:
    from lungseg.inference.predictor import Prediction
    from lungseg.io.dicom.derived import Algorithm


def _mask(prediction: Prediction) -> bytes:
    from lungseg.io import encode_png

    return encode_png(prediction.mask)


def _labels(prediction: Prediction) -> bytes:
    from lungseg.io import encode_png

    return encode_png(prediction.labels)


def _overlay(prediction: Prediction) -> bytes:
    from lungseg.io import encode_png
    from lungseg.io.overlay import PALETTE, draw_indexed_overlay

    heart, lines = prediction.shown_heart, prediction.lines
    picture = draw_indexed_overlay(prediction.radiograph.pixels, prediction.labels, heart=heart, lines=lines)
    return encode_png(picture, PALETTE)


def _probabilities(prediction: Prediction) -> bytes:
    import numpy as np

    from lungseg.io import encode_png

    *lungs, heart = (*prediction.probabilities, 0)[:3]
    shown = 1 if prediction.extent == "full" else 1 - heart
    return encode_png(np.rint((sum(lungs) * shown).clip(0, 1) * 65535).astype(np.uint16))


def _heart(prediction: Prediction) -> bytes:
    import numpy as np

    from lungseg.io import encode_png

    if prediction.heart is None:
        what = "these weights do not know the heart"
        raise LungsegError(what, prediction.weights, "leave out heart", code="weights-without-heart")
    return encode_png(prediction.heart.view(np.uint8) * np.uint8(255))


def _thumbnail(prediction: Prediction) -> bytes:
    from lungseg.io.overlay import encode_thumbnail

    heart, lines = prediction.shown_heart, prediction.lines
    return encode_thumbnail(prediction.radiograph.pixels, prediction.labels, heart, lines)


def _nifti(prediction: Prediction) -> bytes:
    from lungseg.io.nifti import encode_nifti

    return encode_nifti(prediction.labels, prediction.radiograph, prediction.extent)


def _dicom_seg(prediction: Prediction) -> bytes:
    from lungseg.io.dicom.segmentation import encode_dicom_seg

    lungs, heart = prediction.label_map(prediction.extent), prediction.shown_heart
    source = prediction.radiograph.source
    return encode_dicom_seg(lungs, source, _algorithm(prediction.weights), extent=prediction.extent, heart=heart)


@lru_cache(maxsize=1)
def _algorithm(weights: Path) -> Algorithm:
    from lungseg.io.dicom.derived import Algorithm
    from lungseg.model.paths import BUNDLE_NAME, config_file
    from lungseg.model.weights import weights_hash
    from lungseg.version import __version__

    version = json.loads(config_file("metadata").read_text(encoding="utf-8"))["version"]
    return Algorithm(BUNDLE_NAME, version, weights_hash(weights), software=__version__)


# Kind -> ending of its files, and the function that encodes a prediction as one of them.
KINDS: dict[str, tuple[str, Callable[[Prediction], bytes]]] = {
    "masks": (".png", _mask),
    "labels": (".png", _labels),
    "overlays": (".png", _overlay),
    "thumbnails": (".jpg", _thumbnail),
    "heart": (".png", _heart),
    "probabilities": (".png", _probabilities),
    "nifti": (".nii.gz", _nifti),
    "dicom-seg": (".dcm", _dicom_seg),
}
DEFAULT_KINDS = ("masks", "labels", "overlays", "thumbnails")


class Outputs:
    """The output files of each radiograph.

    Args:
        folder: where a folder of each kind is made.
        kinds: names among `KINDS`; blanks around them are ignored.

    Raises:
        UsageError: there is no such kind, or a package that it needs is missing.
    """

    def __init__(self, folder: Path, kinds: Iterable[str] = DEFAULT_KINDS) -> None:
        self.folder, self.kinds = Path(folder), tuple(dict.fromkeys(kind.strip() for kind in kinds))
        for kind in self.kinds:
            if kind not in KINDS:
                raise UsageError(
                    f"there is no kind of output called {kind!r}",
                    remedy=f"choose among {', '.join(KINDS)}",
                    code="unknown-output-kind",
                )
        if "dicom-seg" in self.kinds and find_spec("highdicom") is None:
            raise UsageError(
                "DICOM SEG needs the package highdicom",
                remedy='install it with pip install "lungseg[dicom]"',
                code="highdicom-missing",
            )

    def targets(self, stem: Path, kinds: Iterable[str] | None = None) -> dict[str, Path]:
        """Return kind -> file for an input whose results are called `stem` (which may have sub-folders).

        Args:
            stem: the results' name.
            kinds: which kinds; None for all that were asked for.
        """
        kinds = self.kinds if kinds is None else kinds
        return {kind: self.folder / kind / f"{stem}{KINDS[kind][0]}" for kind in kinds if kind in KINDS}

    def encode(
        self, prediction: Prediction, kinds: Iterable[str] | None = None
    ) -> tuple[dict[str, bytes], dict[str, LungsegError]]:
        """Encode the kinds that can be made from the input file.

        Args:
            prediction: the lungs.
            kinds: which kinds; None for all that were asked for.

        Returns:
            Kind -> content of its file, and kind -> why it cannot be made.
        """
        contents: dict[str, bytes] = {}
        refused: dict[str, LungsegError] = {}
        for kind in self.kinds if kinds is None else kinds:
            try:
                contents[kind] = KINDS[kind][1](prediction)
            except LungsegError as error:
                refused[kind] = error
        return contents, refused

    def make_room(self, stem: Path, kinds: Iterable[str]) -> None:
        """Make the folders of these kinds' files, and check that files of these names can exist.

        Raises:
            LungsegError: a name is too long, or a folder or a file is in the way.
        """
        for file in self.targets(stem, kinds).values():
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                # A name that is too long is refused here.
                with suppress(FileNotFoundError):
                    if stat.S_ISDIR(file.lstat().st_mode):
                        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            except OSError as error:
                raise writing_failed(error, file) from error

    def remove(self, stem: Path, kinds: Iterable[str]) -> None:
        """Remove the files of these kinds, if they exist; see `targets`.

        Raises:
            LungsegError: a file cannot be removed.
        """
        for file in self.targets(stem, kinds).values():
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise writing_failed(error, file) from error

    def write(self, stem: Path, contents: Mapping[str, bytes]) -> None:
        """Write the files of `contents`, see `encode`; if one fails, none of them is there afterwards.

        Raises:
            LungsegError: a file cannot be written.
        """
        written: list[Path] = []
        try:
            for kind, target in self.targets(stem, contents).items():
                with atomic_path(target) as temporary:
                    temporary.write_bytes(contents[kind])
                written.append(target)
        except BaseException:  # Ctrl-C among them
            for file in written:
                file.unlink(missing_ok=True)
            raise


def refusal(kind: str, error: LungsegError) -> str:
    """Return in words that a kind of output was not written, and why."""
    # A name or header of a file must not command the terminal: the sentence of an error is escaped.
    return str(LungsegError(f"{kind} was not written: {error.what}", code=error.code)).removesuffix(".")
