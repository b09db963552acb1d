# SPDX-License-Identifier: Apache-2.0
"""Turn the network's probabilities into regions of the radiograph's own size, without enlarging all probabilities.

Bilinear interpolation stays between the four probabilities around a pixel. Where these agree, so do all pixels between
them, which are 64 in a picture of 2048 x 2048; the others, along the borders, are interpolated.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Invertd, MapTransform
from monai.utils import TraceKeys
from numpy.typing import NDArray

from lungseg.transforms.regions import HEART, VISIBLE, AsRegionsd

_Floats = NDArray[np.float32]
# Probabilities this near to a threshold are interpolated; rounding changes them by a hundredth of it.
_NEAR = 1e-5
# The value of a cell whose pixels may differ; no region has it.
_MIXED = 255
# MONAI's names of the transforms that a picture records.
_TRANSFORMS = ["CropForeground", "ResizeShorterSide"]
# Pixels, and lines of pixels, that are interpolated at a time, so that they stay in the processor's cache.
_AT_A_TIME, _LINES = 2**15, 32


class AsNativeRegionsd(MapTransform):
    """Turn probabilities at the network's resolution into a bit field of the radiograph's own size, (1, W, H) uint8.

    Equals MONAI's `Invertd` with bilinear interpolation and :class:`lungseg.transforms.AsRegionsd` after it, in a tenth
    of the time and without the memory for probabilities of full size. Which it also does, where a config prepares
    images with other transforms than turning, cropping and resizing.

    Args:
        keys: probabilities (2, w, h) of right and left lung, or (3, w, h) with the heart.
        orig_keys: the image that the network saw; it records the transforms.
        transform: those transforms.
        threshold: see :class:`lungseg.transforms.AsRegionsd`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        orig_keys: KeysCollection,
        transform: Callable[..., Any],
        threshold: float = 0.5,
    ) -> None:
        super().__init__(keys)
        self.threshold = threshold
        self.as_regions = AsRegionsd(keys, threshold)
        self.invert = Invertd(keys, transform, orig_keys, nearest_interp=False, to_tensor=True)  # type: ignore[arg-type]
        self.orig_key: Hashable = self.invert.orig_keys[0]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        image = data[self.orig_key]
        place = find_place(image)
        if place is None:
            return self.as_regions(self.invert(data))
        out = dict(data)
        for key in self.key_iterator(out):
            probabilities = _plain(out[key]).mT.contiguous()
            found = place.put(find_regions(probabilities, place.size, self.threshold))
            meta = deepcopy(image.meta) | {"affine": place.affine}
            out[key] = MetaTensor(torch.from_numpy(found).to(out[key].device).T[None], meta=meta)
        return out


class Place(NamedTuple):
    """Where the network's picture lies in a radiograph.

    Attributes:
        turns: quarter turns by which the radiograph is turned, counter-clockwise as seen.
        margins: rows above and below, columns on the left and on the right of the part of the upright radiograph that
            the network saw.
        size: rows and columns of that part.
        affine: of the radiograph.
    """

    turns: int
    margins: tuple[tuple[int, int], tuple[int, int]]
    size: tuple[int, int]
    affine: torch.Tensor

    def put(self, part: NDArray[Any]) -> NDArray[Any]:
        """Return an array (H, W) as large as the radiograph, with `part` where it belongs and zeros around it."""
        whole = np.pad(part, self.margins) if any(map(any, self.margins)) else part
        return np.ascontiguousarray(np.rot90(whole, self.turns))

    def profiles(self, probabilities: torch.Tensor, step: int, axis: int) -> NDArray[np.float32]:
        """Return the highest probabilities in each column of a radiograph, or in each row.

        Args:
            probabilities: (3, w, h) float32 of right lung, left lung and heart.
            step: only every `step`-th row and column of the radiograph is looked at.
            axis: 1 for columns, 0 for rows.

        Returns:
            (2, N) of either lung and of the heart, interpolated bilinearly, without those around the network's picture.
        """
        values, sizes = _plain(probabilities), self.size
        # The last row or column of the upright radiograph is the first one of a turned one.
        backwards = (self.turns in (2, 3), self.turns in (1, 2))
        lines = []
        for size, (before, after), back in zip(sizes, self.margins, backwards, strict=True):
            at = np.arange(before + size + after)[:: -step if back else step] - before
            lines.append(at[(at >= 0) & (at < size)])
        rows, columns = (
            Neighbours.of(size, small).take(at)
            for size, small, at in zip(sizes, (values.shape[2], values.shape[1]), lines, strict=True)
        )
        across = _mean(values[..., rows.first], rows.near, values[..., rows.second], rows.far)
        # A quarter turn makes rows of columns.
        along = 1 if (axis + self.turns) % 2 else 2
        found = []
        for start in range(0, len(lines[1]), _LINES):
            first, second, near, far = (one[start : start + _LINES] for one in columns)
            enlarged = _mean(across[:, first], near[:, None], across[:, second], far[:, None])
            found.append(torch.stack([enlarged[0] + enlarged[1], enlarged[2]]).amax(3 - along))
        highest = torch.cat(found, 1) if along == 1 else torch.stack(found).amax(0)
        return highest.numpy()


def _plain(values: torch.Tensor) -> torch.Tensor:
    plain = values.as_tensor() if isinstance(values, MetaTensor) else values
    return plain.detach().cpu()


def find_place(image: MetaTensor) -> Place | None:
    """Return where a picture that the network saw, (1, w, h), lies in its radiograph, from the transforms it records.

    Returns:
        None if there are other transforms than turning it upright, cropping and resizing it, in this order.
    """
    done = image.applied_operations
    names = [one[TraceKeys.CLASS_NAME] for one in done]
    # Data sets are upright: their configs do not turn pictures.
    if names not in (["TurnUpright", *_TRANSFORMS], _TRANSFORMS):
        return None
    *turned, crop, resize = done
    left, right, top, bottom = (int(margin) for margin in crop[TraceKeys.EXTRA_INFO]["cropped"])
    width, height = (int(length) for length in resize[TraceKeys.ORIG_SIZE])
    turns = int(turned[0][TraceKeys.EXTRA_INFO]["turns"]) if turned else 0
    affine = torch.as_tensor(image.affine).clone()
    for axis, (length, small, before) in enumerate(zip((width, height), image.shape[1:], (left, top), strict=True)):
        affine[:, axis] *= small / length
        # The centre of the first pixel of the part, and then that of the first pixel of the whole.
        affine[:, -1] -= affine[:, axis] * (before + (length / small - 1) / 2)
    return Place(turns, ((top, bottom), (left, right)), (height, width), affine)


def find_regions(probabilities: torch.Tensor, size: tuple[int, int], threshold: float) -> NDArray[np.uint8]:
    """Return the regions of a picture, (H, W) uint8, see :class:`lungseg.transforms.AsRegionsd`.

    Args:
        probabilities: (2, h, w) of right and left lung, or (3, h, w) with the heart, float32.
        size: H and W.
        threshold: probability above which a pixel is lung.
    """
    rows, columns = (Neighbours.of(length, small) for length, small in zip(size, probabilities.shape[1:], strict=True))
    across = _cells(probabilities.numpy(), threshold)[:, columns.first]
    regions: NDArray[np.uint8] = across[rows.first]
    for y, x in _mixed_pixels(across == _MIXED, rows.first.numpy()):
        # The pixels of a cell have the same neighbours.
        cell, pixels = rows.take(y[:, :1]), rows.take(y)
        down = Neighbours(cell.first, cell.second, pixels.near, pixels.far)
        found: dict[Hashable, torch.Tensor] = {"pred": interpolate(probabilities, down, columns.take(x))}
        regions[y, x] = AsRegionsd("pred", threshold)(found)["pred"][0].numpy()
    return regions


class Neighbours(NamedTuple):
    """For pixels along an axis, the two neighbours that they are interpolated between, and their shares.

    Attributes:
        first, second: numbers of the neighbours, int64.
        near, far: their shares, float32.
    """

    first: torch.Tensor
    second: torch.Tensor
    near: torch.Tensor
    far: torch.Tensor

    @classmethod
    def of(cls, length: int, small: int) -> Neighbours:
        """Return those of `length` pixels between `small` values, as PyTorch's mode "bilinear" places them."""
        scale = float(np.float32(small) / np.float32(length))
        at = (scale * (np.arange(length) + 0.5) - 0.5).astype(np.float32).clip(0)
        first = np.minimum(at.astype(np.int64), small - 1)
        far = (at - first.astype(np.float32)).clip(0, 1)
        return cls(*map(torch.from_numpy, (first, np.minimum(first + 1, small - 1), 1 - far, far)))

    def take(self, pixels: NDArray[np.intp]) -> Neighbours:
        """Return those of some of the pixels, in any shape."""
        chosen = torch.from_numpy(pixels)
        return Neighbours(*(one[chosen] for one in self))


def interpolate(values: torch.Tensor, rows: Neighbours, columns: Neighbours) -> torch.Tensor:
    """Interpolate `values` (C, h, w) bilinearly at the pixels of `rows` and `columns`, whose shapes are broadcast."""
    left, right = (
        _mean(values[:, rows.first, column], rows.near, values[:, rows.second, column], rows.far)
        for column in (columns.first, columns.second)
    )
    return _mean(left, columns.near, right, columns.far)


def _mean(first: torch.Tensor, near: torch.Tensor, second: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """Return first * near + second * far, rounded as in PyTorch's mode "bilinear"."""
    return torch.addcmul(second * far, first, near)


def _cells(probabilities: _Floats, threshold: float) -> NDArray[np.uint8]:
    """Return the region of all pixels between neighbouring probabilities, or `_MIXED`: (h, w) uint8.

    The cell of a probability is between it and those after it in its row and in its column.
    """
    right, left, *hearts = probabilities
    least, most = _bounds(right + left)
    first, last = _bounds(left - right)
    is_lung, is_left, is_right = least > threshold + _NEAR, first > _NEAR, last < -_NEAR
    cells = is_lung * (1 + is_left.view(np.uint8))
    known = (most < threshold - _NEAR) | (is_lung & (is_left | is_right))
    if hearts:
        low, high = _bounds(hearts[0])
        is_heart = low > 0.5 + _NEAR
        known &= is_heart | (high < 0.5 - _NEAR)
        cells += is_heart.view(np.uint8) * np.uint8(HEART)
        least, most = least * (1 - high), most * (1 - low)
    is_visible = least > threshold + _NEAR
    known &= is_visible | (most < threshold - _NEAR)
    cells += is_visible.view(np.uint8) * np.uint8(VISIBLE)
    cells[~known] = _MIXED
    return cells


def _bounds(values: _Floats) -> Iterator[_Floats]:
    """Yield the lowest and the highest of the four values around each cell."""
    for extreme in (np.minimum, np.maximum):
        found = values.copy()
        extreme(values[:-1], values[1:], out=found[:-1])
        # In place, from the left to the right: each value is read before it changes.
        extreme(found[:, :-1], found[:, 1:], out=found[:, :-1])
        yield found


def _mixed_pixels(
    is_mixed: NDArray[np.bool_], first: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield rows (N, M) and columns (N, 1) of the pixels in mixed cells.

    Args:
        is_mixed: (h, W), whether the pixels of a column in a row of cells are mixed.
        first: (H,) the row of cells of each row of pixels, in order.
    """
    cell, column = np.nonzero(is_mixed)
    begin, end = (np.searchsorted(first, np.arange(len(is_mixed)), side) for side in ("left", "right"))
    heights = (end - begin)[cell]
    for height in np.flatnonzero(np.bincount(heights)).tolist():
        if height == 0:
            continue
        these = np.flatnonzero(heights == height)
        step = max(1, _AT_A_TIME // height)
        for start in range(0, len(these), step):
            some = these[start : start + step]
            yield begin[cell[some]][:, None] + np.arange(height), column[some][:, None]
