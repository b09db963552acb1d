# SPDX-License-Identifier: Apache-2.0
"""MONAI readers of radiographs and of masks, for the bundle's configs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import ImageReader

from lungseg.data.label_files import read_label
from lungseg.io.radiograph import Radiograph, SourceFile
from lungseg.io.reading import read_radiograph
from lungseg.utils.errors import UsageError

# MONAI reports with each loader that an optional decoder, which nothing here uses, is missing. These two notices alone
# are silenced, once, so that no state of the process changes while threads run.
warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader", category=UserWarning)
logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)

_Names = Sequence[str | PathLike[str]] | str | PathLike[str]


class LateReader(ImageReader):  # type: ignore[misc, unused-ignore]
    """Base of both readers: accepts every name, and opens the file in `get_data`."""

    def verify_suffix(self, filename: _Names) -> bool:
        """Accept every name: the content decides."""
        return True

    def read(self, data: _Names, **kwargs: Any) -> _Names:
        """Return the names. If this raised an error, MONAI would try its default readers without a warning."""
        return data


class RadiographReader(LateReader):
    """Read radiographs with MONAI: ``LoadImaged(keys="image", reader=RadiographReader())``.

    The array is (W, H) float32; axis 0 is x as in MONAI's other readers. The metadata are
    `filename_or_obj`, `affine` (4 x 4, millimetres per pixel along x and y, 1 when unknown), `spatial_shape`
    (W, H), `original_channel_dim` ("no_channel"), `spacing` ((row, column) in millimetres, NaN when
    unknown), and `spacing_kind`, `view` and `projection` ("" when unknown), `flipped`, `supine`, `stated_object` and
    `filled_in` of :class:`lungseg.io.Radiograph`, and `sha256`, `format` and `header` of
    :class:`lungseg.io.SourceFile`.
    """

    def get_data(self, img: _Names) -> tuple[np.ndarray, dict[str, Any]]:
        """Read the file.

        Raises:
            LungsegError: the file cannot be read as a radiograph.
            UsageError: several files were given for one image.
        """
        names = [img] if isinstance(img, str | PathLike) else list(img)
        if len(names) != 1:
            what = f"{len(names)} files were given for one radiograph"
            raise UsageError(what, remedy="give one file per image", code="several-files")
        return as_monai(read_radiograph(names[0]), str(names[0]))


def as_monai(radiograph: Radiograph, name: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a radiograph as the array (W, H) float32 and the metadata of :class:`RadiographReader`."""
    # PyTorch transposes in blocks, in a third of NumPy's time; it needs writable arrays.
    pixels = torch.from_numpy(np.require(radiograph.pixels, requirements="W")).T.contiguous().numpy()
    row, column = radiograph.spacing or (np.nan, np.nan)
    source = radiograph.source
    affine = np.diag([column, row, 1.0, 1.0]) if radiograph.spacing else np.eye(4)
    return pixels, {
        "filename_or_obj": name,
        "affine": affine,
        "spatial_shape": np.asarray(pixels.shape),
        "original_channel_dim": "no_channel",
        # Always present, so that known and unknown spacings collate into one batch.
        "spacing": np.asarray([row, column], dtype=np.float64),
        "spacing_kind": radiograph.spacing_kind,
        "view": radiograph.view or "",
        "flipped": radiograph.flipped,
        "projection": radiograph.projection or "",
        "supine": radiograph.supine,
        "stated_object": radiograph.stated_object,
        "filled_in": radiograph.filled_in,
        "sha256": source.sha256 if source else "",
        "format": source.format if source else "",
        # As text with a character for each byte: MONAI's loader accepts no bytes.
        "header": source.header.decode("latin-1") if source else "",
    }


def from_monai(pixels: torch.Tensor, meta: Mapping[str, Any]) -> Radiograph:
    """Return the radiograph that `as_monai` described.

    Args:
        pixels: (W, H) float32.
        meta: its metadata.
    """
    row, column = (float(mm) for mm in meta["spacing"])
    name, sha256 = meta["filename_or_obj"], meta["sha256"]
    return Radiograph(
        # Rows must be contiguous for drawing; PyTorch transposes in blocks, which is faster.
        pixels=pixels.T.contiguous().numpy(),
        spacing=None if np.isnan((row, column)).any() else (row, column),
        spacing_kind=meta["spacing_kind"],
        view=meta["view"] or None,
        flipped=meta["flipped"],
        projection=meta["projection"] or None,
        supine=meta["supine"],
        stated_object=meta["stated_object"],
        filled_in=meta["filled_in"],
        source=SourceFile(Path(name), sha256, meta["format"], meta["header"].encode("latin-1")) if sha256 else None,
    )


class LungLabelReader(LateReader):
    """Read masks as label maps: ``LoadImaged(keys="label", reader=LungLabelReader())``.

    Takes one file (binary mask or label map) or the pair [right lung, left lung]. The array is (W, H) uint8,
    axis 0 is x as in MONAI's other readers: 0 background, 1 right lung, 2 left lung, 3 unknown laterality.
    The metadata are `filename_or_obj`, `affine` (identity), `spatial_shape` (W, H) and `original_channel_dim`.

    Args:
        labels: what the values of the masks stand for, see :func:`lungseg.data.label_values.parse_labels`.
    """

    def __init__(self, labels: str | None = None) -> None:
        super().__init__()
        self.labels = labels

    def get_data(self, img: _Names) -> tuple[np.ndarray, dict[str, Any]]:
        """Read the reference.

        Raises:
            MaskError: the reference cannot be used (a LungsegError).
            UsageError: more than two files were given.
        """
        names = [img] if isinstance(img, str | PathLike) else list(img)
        if len(names) not in (1, 2):
            what = f"{len(names)} files were given for one reference"
            raise UsageError(what, remedy="give a mask, or [right, left]", code="several-files")
        first, last = Path(names[0]), Path(names[-1])
        label = first if len(names) == 1 else (first, last)
        labels = np.ascontiguousarray(read_label(label, self.labels).labels.T)
        return labels, {
            "filename_or_obj": str(names[0]),
            "affine": np.eye(4),
            "spatial_shape": np.asarray(labels.shape),
            "original_channel_dim": "no_channel",
        }
