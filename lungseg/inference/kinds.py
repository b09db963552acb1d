# SPDX-License-Identifier: Apache-2.0
"""The kinds of output that `lungseg predict` writes for each radiograph, and how a prediction becomes one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lungseg.utils.errors import LungsegError
from lungseg.version import __version__

# The command line names the kinds: nothing that takes long to import stands above.
if TYPE_CHECKING:
    from lungseg.inference.predictor import Prediction
    from lungseg.io.dicom.derived import Algorithm


class Target(NamedTuple):
    """What a file is made for.

    Attributes:
        file: where it will lie.
        stem: the name of the input's results.
        crop_margin: see :func:`lungseg.inference.crop.lung_box`.
    """

    file: Path
    stem: Path
    crop_margin: float


def _mask(prediction: Prediction, _: Target) -> bytes:
    from lungseg.io import encode_png

    return encode_png(prediction.mask)


def _labels(prediction: Prediction, _: Target) -> bytes:
    from lungseg.io import encode_png

    return encode_png(prediction.labels)


def _overlay(prediction: Prediction, _: Target) -> bytes:
    from lungseg.io import encode_png
    from lungseg.io.overlay import PALETTE, draw_indexed_overlay

    heart, lines = prediction.shown_heart, prediction.lines
    picture = draw_indexed_overlay(prediction.radiograph.pixels, prediction.labels, heart=heart, lines=lines)
    return encode_png(picture, PALETTE)


def _probabilities(prediction: Prediction, _: Target) -> bytes:
    import numpy as np

    from lungseg.io import encode_png

    *lungs, heart = (*prediction.probabilities, 0)[:3]
    shown = 1 if prediction.extent == "full" else 1 - heart
    return encode_png(np.rint((sum(lungs) * shown).clip(0, 1) * 65535).astype(np.uint16))


def _heart(prediction: Prediction, _: Target) -> bytes:
    import numpy as np

    from lungseg.io import encode_png

    if prediction.heart is None:
        what = "these weights do not know the heart"
        raise LungsegError(what, prediction.weights, "leave out heart", code="weights-without-heart")
    return encode_png(prediction.heart.view(np.uint8) * np.uint8(255))


def _thumbnail(prediction: Prediction, _: Target) -> bytes:
    from lungseg.report.outlines import find_outlines
    from lungseg.report.thumbnails import encode_thumbnail

    # The viewer can hide the heart, so it is in the drawing wherever it is known.
    drawing = find_outlines(prediction.labels, prediction.heart, prediction.lines)
    return encode_thumbnail(prediction.radiograph.pixels, drawing)


def _nifti(prediction: Prediction, _: Target) -> bytes:
    from lungseg.io.nifti import encode_nifti

    return encode_nifti(prediction.labels, prediction.radiograph, prediction.extent)


def _dicom_seg(prediction: Prediction, _: Target) -> bytes:
    from lungseg.io.dicom.segmentation import encode_dicom_seg

    lungs, heart = prediction.label_map(prediction.extent), prediction.shown_heart
    source = prediction.radiograph.source
    return encode_dicom_seg(lungs, source, _algorithm(prediction.weights), extent=prediction.extent, heart=heart)


def _crop(prediction: Prediction, target: Target) -> bytes:
    from lungseg.io import encode_png

    return encode_png(prediction.crop(target.crop_margin).pixels)


def _coco(prediction: Prediction, target: Target) -> bytes:
    from lungseg.io.coco import encode_coco

    description = f"lungs of {prediction.extent} extent, found by lungseg {__version__}"
    return encode_coco(prediction.structures, image_name(target.stem, _input(prediction, target)), description)


def _labelme(prediction: Prediction, target: Target) -> bytes:
    from lungseg.io.labelme import encode_labelme

    radiograph = prediction.radiograph
    # LabelMe opens neither DICOM nor NIfTI files.
    opens = radiograph.source is None or radiograph.source.format == "raster"
    shown = None if opens else radiograph.pixels
    return encode_labelme(prediction.structures, _input(prediction, target), target.file, shown)


def _input(prediction: Prediction, target: Target) -> Path:
    source = prediction.radiograph.source
    return source.path if source else Path(target.stem.name)


def image_name(stem: Path, source: str | PathLike[str]) -> str:
    """Return the name of an input in its results' COCO file: its path in the folder that was named, with slashes.

    Args:
        stem: the name of the input's results.
        source: the input.
    """
    return (stem.parent / Path(source).name).as_posix()


@lru_cache(maxsize=1)
def _algorithm(weights: Path) -> Algorithm:
    from lungseg.io.dicom.derived import Algorithm
    from lungseg.model.paths import BUNDLE_NAME, config_file
    from lungseg.model.weights import weights_hash

    version = json.loads(config_file("metadata").read_text(encoding="utf-8"))["version"]
    return Algorithm(BUNDLE_NAME, version, weights_hash(weights), software=__version__)


# Kind -> ending of its files, and the function that encodes a prediction as one of them.
KINDS: dict[str, tuple[str, Callable[[Prediction, Target], bytes]]] = {
    "masks": (".png", _mask),
    "labels": (".png", _labels),
    "overlays": (".png", _overlay),
    "thumbnails": (".jpg", _thumbnail),
    "heart": (".png", _heart),
    "probabilities": (".png", _probabilities),
    "nifti": (".nii.gz", _nifti),
    "dicom-seg": (".dcm", _dicom_seg),
    "crop": (".png", _crop),
    "coco": (".json", _coco),
    "labelme": (".json", _labelme),
}
DEFAULT_KINDS = ("masks", "labels", "overlays", "thumbnails")
# Their files name the input, and must be made again if it has another path.
KINDS_WITH_PATH = ("coco", "labelme")
