# SPDX-License-Identifier: Apache-2.0
"""NIfTI files that hold one picture, through nibabel.

The format knows volumes only, and libraries do not agree on how a radiograph lies in it. In all of them the first
axis is x. Where a file states an orientation, it is obeyed as radiological viewers do: the patient's left is on the
right of the picture, the feet (of a slice: the back) are at the bottom. ITK writes radiographs so. MONAI and plain
nibabel write no orientation, or positive spacings without an origin, which nobody has thought about: these files
are taken as they lie, from the top left corner.
"""

from __future__ import annotations

import gzip
import math
from io import BytesIO
from os import PathLike
from pathlib import Path

import nibabel
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.orientations import io_orientation

from lungseg.io.colour import luma
from lungseg.io.formats import HEAD_BYTES, format_of
from lungseg.io.limits import check_size, plausible_spacing
from lungseg.io.radiograph import Radiograph, SpacingKind, View
from lungseg.utils.errors import LungsegError

_DAMAGED = "copy or export it again"
_ALONE = "save the radiograph alone in a file"
# By the code of the unit, which fills the lower bits of its field; any other code tells nothing.
_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}
_UNIT_BITS = 0b111
# Extensions of the header may come before the picture; they are small.
_MAX_OFFSET = 2**20
# By the direction in which the picture has no extent: left to right, back to front, feet to head.
_VIEWS: tuple[View | None, ...] = ("lateral", "frontal", None)


def read_nifti(path: Path) -> Radiograph:
    """Read a NIfTI file, gzipped or not, with one picture: 2-D, or 3-D with one slice in any plane.

    The spacing is known unless it is 1 x 1, which writers put for want of a better one, or neither a unit nor an
    orientation was stated. Its kind is unknown: NIfTI has no word for the detector's plane.

    Raises:
        LungsegError: the file is damaged, of an unfit size, holds several pictures, or has its pixels elsewhere.
    """
    try:
        pixels, header = _load(path)
        axes, flips, view = _layout(pixels.shape[:3], header)
        spacing = _spacing(header, axes)
    except LungsegError:
        raise
    except Exception as error:  # a damaged byte leads to whatever it likes
        raise LungsegError(f"the NIfTI file is damaged ({error})", path, _DAMAGED) from error
    x, y = axes
    slice_axis = 3 - x - y
    # (H, W), or (H, W, colours).
    picture = np.flip(np.moveaxis(pixels, (y, x, slice_axis), (0, 1, 2))[:, :, 0], flips)
    grey = luma(picture) if picture.ndim == 3 else picture
    return Radiograph(np.ascontiguousarray(grey, dtype=np.float32), spacing, "unknown", view)


def lay_as_stored(picture: np.ndarray, path: Path) -> tuple[np.ndarray, Nifti1Header]:
    """Undo on `picture`, (H, W), how `read_nifti` turned the one in the file `path`.

    Returns:
        The picture in the file's axes, but for one of colours, and the file's header.
    """
    pixels, header = _load(path)
    (x, y), flips, _ = _layout(pixels.shape[:3], header)
    stored = np.moveaxis(np.flip(picture, flips)[:, :, None], (0, 1, 2), (y, x, 3 - x - y))
    shape = header.get_data_shape()
    return stored.reshape(shape if math.prod(shape) == stored.size else stored.shape), header


def _load(path: Path) -> tuple[np.ndarray, Nifti1Header]:
    """Return the pixels, (X, Y, Z) or (X, Y, Z, colours), and the header; never inflate more than it announces."""
    with open(path, "rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    with gzip.open(path) if zipped else open(path, "rb") as file:
        head = file.read(540)
        kind = Nifti2Header if head[4:6] == b"n+" or head[4:6] == b"ni" else Nifti1Header
        if head[344:347] != b"n+1" and head[4:7] != b"n+2":
            if head[344:347] == b"ni1" or head[4:7] == b"ni2":
                raise LungsegError("the NIfTI file has its pixels in another file", path, "save both as one .nii file")
            raise LungsegError("this is no NIfTI file, though compressed like one", path, "unpack it first")
        header = kind(head[: kind.sizeof_hdr])
        shape = _single_picture(header, path)
        offset, size = header.get_data_offset(), header.get_data_dtype().itemsize * math.prod(header.get_data_shape())
        if not 0 <= offset <= _MAX_OFFSET:
            raise LungsegError("the NIfTI file is damaged (its pixels begin nowhere)", path, _DAMAGED)
        content = head + file.read(offset + size - len(head))
        if len(content) < offset + size:
            raise LungsegError("the NIfTI file is cut short", path, _DAMAGED)
        # At the end of a gzip stream its check sum is compared.
        file.read(1)
    pixels = header.data_from_fileobj(BytesIO(content))
    if pixels.dtype.kind == "c":
        raise LungsegError("the NIfTI file holds complex numbers", path, "save their magnitude")
    if pixels.dtype.names:
        pixels = np.stack([pixels[name] for name in pixels.dtype.names[:3]], axis=-1)
    return pixels.reshape(shape), header


def _single_picture(header: Nifti1Header, path: Path) -> tuple[int, ...]:
    """Return the shape of the pixels, (X, Y, Z) or (X, Y, Z, colours), one of X, Y and Z being 1."""
    shape = (*header.get_data_shape(), 1, 1)[: max(3, len(header.get_data_shape()))]
    space, others = shape[:3], shape[3:]
    colours = ()
    if header.get_data_dtype().names:
        colours = (3,)
    elif others[:1] == (1,) and others[1:] in ((3,), (4,)):  # ITK's colours
        colours, others = others[1:], ()
    if math.prod(others) != 1:
        raise LungsegError(f"the NIfTI file holds {math.prod(others)} pictures", path, _ALONE)
    if 1 not in space:
        raise LungsegError("the NIfTI file holds a volume of {} x {} x {} voxels".format(*space), path, _ALONE)
    width, height = sorted(space)[1:]
    check_size(width, height, path)
    return space + colours


def _orientation_is_stated(header: Nifti1Header) -> bool:
    return bool(header["sform_code"] > 0 or header["qform_code"] > 0)


def _layout(shape: tuple[int, ...], header: Nifti1Header) -> tuple[tuple[int, int], list[int], View | None]:
    """Return which axes are x and y, which of the picture's (0 rows, 1 columns) to turn round, and the view."""
    affine = header.get_best_affine()
    flat = shape.index(1)
    first, second = (axis for axis in range(3) if axis != flat)
    directions = io_orientation(affine)
    plain = flat == 2 and (affine[:3, :2] >= 0).all() and not affine[2, :2].any() and not affine[:3, 3].any()
    if not _orientation_is_stated(header) or plain or np.isnan(directions).any():
        return (first, second), [], None
    # Left, back and feet, to which x or y lead on the screen, are the negative directions.
    x, y = sorted((first, second), key=lambda axis: directions[axis, 0])
    flips = [position for position, axis in enumerate((y, x)) if directions[axis, 1] > 0]
    return (x, y), flips, _VIEWS[int(directions[flat, 0])]


def _spacing(header: Nifti1Header, axes: tuple[int, int]) -> tuple[float, float] | None:
    column, row = voxel_sizes(header.get_best_affine())[list(axes)]
    unit = _MILLIMETRES.get(int(header["xyzt_units"]) & _UNIT_BITS)
    if np.allclose((row, column), 1) or (unit is None and not _orientation_is_stated(header)):
        return None
    # In the affine's own precision, 0.14 is 0.14000000059604645.
    return plausible_spacing(float(f"{mm * (unit or 1.0):.6g}") for mm in (row, column))


_LABEL_INTENT = 1002


def encode_nifti(
    labels: np.ndarray, source: str | PathLike, spacing: tuple[float, float] | None, spacing_kind: SpacingKind
) -> bytes:
    """Return the bytes of a .nii.gz file of uint8 labels.

    The labels of a NIfTI file lie as its picture does, with its affine. Those of any other file have x as axis 0 and y
    as axis 1, with the affine of a picture that ITK reads (x to the patient's left), so that viewers built on ITK lay
    them on a PNG as on a DICOM file. Without a spacing their unit is the pixel, and none is stated.

    Args:
        labels: (H, W) uint8: 0 background, 1 right lung, 2 left lung.
        source: the file that was segmented.
        spacing: (row, column) millimetres per pixel, or None when it is not known.
        spacing_kind: where the spacing holds; stated in the header's description.
    """
    with open(source, "rb") as file:
        is_nifti = format_of(file.read(HEAD_BYTES)) == "nifti"
    image = _like(labels, Path(source)) if is_nifti else _new(labels, spacing)
    image.header.set_intent(_LABEL_INTENT, name="lungs")
    image.header["descrip"] = f"1 right lung, 2 left lung; spacing: {spacing_kind}".encode()
    # Without a time in it, the same labels make the same file.
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)


def _like(labels: np.ndarray, source: Path) -> nibabel.Nifti1Image:
    volume, header = lay_as_stored(labels, source)
    header.set_data_dtype(np.uint8)
    header["cal_min"], header["cal_max"] = 0, 0
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    return kind(volume, header.get_best_affine(), header)


def _new(labels: np.ndarray, spacing: tuple[float, float] | None) -> nibabel.Nifti1Image:
    row, column = spacing or (1.0, 1.0)
    image = nibabel.Nifti1Image(labels.T, np.diag([-column, -row, 1.0, 1.0]))
    image.header.set_xyzt_units("mm" if spacing else "unknown")
    return image
