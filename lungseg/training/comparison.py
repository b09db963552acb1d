# SPDX-License-Identifier: Apache-2.0
"""Predictions and references side by side, in the extent that the reference states."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.utils import convert_to_tensor

from lungseg.data.labels import NOT_STATED
from lungseg.data.targets import FULL, VISIBLE
from lungseg.transforms.regions import label_map
from lungseg.utils.errors import LungsegError

_Batch = list[dict[str, torch.Tensor]]
_Pairs = tuple[list[torch.Tensor], list[torch.Tensor]]

_EXTENTS = {"visible": VISIBLE, "full": FULL}


def stated_extent(targets: torch.Tensor) -> str | None:
    """Return the extent of the lungs that `targets` (3, W, H) state: "visible", "full", or None."""
    return next((name for name, channel in _EXTENTS.items() if (targets[channel] != NOT_STATED).any()), None)


def compared(
    regions: torch.Tensor, targets: torch.Tensor, extents: Sequence[str] = ("visible", "full")
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return prediction and reference as label maps (1, W, H) uint8: background where the reference says nothing.

    Args:
        regions: (1, W, H) of :class:`lungseg.transforms.AsRegionsd`.
        targets: (3, W, H) of :func:`lungseg.data.targets.read_targets`.
        extents: a reference of another extent is empty, so that MONAI's metrics leave it out.

    Raises:
        LungsegError: the sizes differ.
    """
    if regions.shape[1:] != targets.shape[1:]:
        sizes = " and ".join(f"{one.shape[1]} x {one.shape[2]}" for one in (regions, targets))
        what = f"prediction and reference differ in size ({sizes} pixels)"
        raise LungsegError(what, remedy="check the size of the mask", code="size-mismatch")
    # Each step would copy the metadata.
    regions, targets = (convert_to_tensor(one, dtype=torch.uint8, track_meta=False) for one in (regions, targets))
    extent = stated_extent(targets)
    if extent is None or extent not in extents:
        return torch.zeros_like(targets[:1]), torch.zeros_like(targets[:1])
    reference = targets[_EXTENTS[extent], None]
    stated = reference != NOT_STATED
    return label_map(regions, extent) * stated, reference * stated


def per_lung(output: _Batch) -> _Pairs:
    """Give metric handlers the two lungs of each case, as boolean (2, W, H) predictions and references.

    A reference of unknown laterality has two empty lungs, which MONAI's metrics leave out.
    """
    return _lungs(output, ("visible", "full"))


def per_visible_lung(output: _Batch) -> _Pairs:
    """Give metric handlers the two lungs of each case whose reference shows the visible lungs; see `per_lung`."""
    return _lungs(output, ("visible",))


def union(output: _Batch) -> _Pairs:
    """Give metric handlers the union of the lungs, as boolean (1, W, H) predictions and references."""
    pairs = [compared(item["pred"], item["label"]) for item in output]
    return [pred > 0 for pred, _ in pairs], [reference > 0 for _, reference in pairs]


def _lungs(output: _Batch, extents: Sequence[str]) -> _Pairs:
    pairs = [compared(item["pred"], item["label"], extents) for item in output]

    def lungs(label_map: torch.Tensor) -> torch.Tensor:
        return torch.cat([label_map == lung for lung in (1, 2)])

    return [lungs(pred) for pred, _ in pairs], [lungs(reference) for _, reference in pairs]
