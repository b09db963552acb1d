# SPDX-License-Identifier: Apache-2.0
"""Thumbnails for the network of `lungseg.quality.recognition`, changed at random, with their true classes.

Frontal are all radiographs of the sources. Wrong are laterals and CT slices, images of `recipes.other_images` and
`recipes.drawn_images`, drawn tomograms, radiographs cut up and shuffled, and parts of radiographs without lungs.
Exposure, frames, bars, text and light backgrounds do not depend on whether a picture is inverted, so that the network
has to look at the anatomy.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

from lungseg.data.targets import read_targets
from lungseg.io import read_radiograph
from lungseg.quality.recognition import FRONTAL, LATERAL, OTHER, SIZE
from lungseg.transforms.frames import foreground_mask
from recipes.drawn_images import drawn_images
from recipes.other_images import other_images

_LARGE = 2 * SIZE
_NOT_FRONTAL = 0.35
# Air is darker than this share of the range, and touches the picture's edge.
_AIR = 0.15


@dataclass(frozen=True)
class Picture:
    """One picture of a bank.

    Attributes:
        source: the data set, or the package.
        patient: pictures of one patient are on one side of a split.
        view: FRONTAL, LATERAL or OTHER.
        pixels: (128, 128) float32, axis 0 is x, from 0 to 1.
        lungs: (128, 128) float32 share of lung; 0 if none is known.
    """

    source: str
    patient: str
    view: int
    pixels: torch.Tensor
    lungs: torch.Tensor


def frontal_pictures(cases: Sequence[dict[str, Any]], patients: dict[str, str]) -> list[Picture]:
    """Read cases of `lungseg.data.datalist`; `patients` names the patient of a case if it has several pictures."""
    found = []
    for case in cases:
        pixels = torch.from_numpy(read_radiograph(case["image"]).pixels.T.astype(np.float32))[None]
        targets = read_targets(case)
        lungs = ((targets[:2] > 0) & (targets[:2] != 254)).any(0).T.astype(np.float32)
        small, share = _squeezed(pixels, torch.from_numpy(lungs)[None])
        found.append(Picture(case["set"], patients.get(case["name"], case["name"]), FRONTAL, small, share))
    return found


def wrong_views(wards: Path, section: str) -> list[Picture]:
    """Read the laterals and CT slices of one section of `wards/other.csv`."""
    found = []
    with (wards / "other.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == section:
                (path,) = (wards / "other").glob(f"{row['name']}.*")
                view = LATERAL if row["kind"] == "lateral" else OTHER
                found.append(_wrong(row["kind"], row["patient"], view, read_radiograph(path).pixels))
    return found


def wrong_images(held_out: bool) -> list[Picture]:
    """Read the images of packages, see `recipes.other_images`."""
    return [_wrong(source, name, OTHER, pixels) for source, name, pixels in other_images(held_out)]


def read_patients(wards: Path) -> dict[str, str]:
    """Return the patient of each picture of `wards/manifest.csv`."""
    with (wards / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return {row["name"]: row["patient"] for row in csv.DictReader(file)}


def _wrong(source: str, patient: str, view: int, pixels: np.ndarray) -> Picture:
    image = torch.from_numpy(pixels.T.astype(np.float32))[None]
    return Picture(source, patient, view, *_squeezed(image, torch.zeros_like(image)))


def _squeezed(pixels: torch.Tensor, lungs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Crop both (1, W, H) as the product does, and resize them to (128, 128)."""
    columns, rows = foreground_mask(pixels)[0].nonzero()
    both = torch.cat([pixels, lungs])[:, columns.min() : columns.max() + 1, rows.min() : rows.max() + 1]
    small, share = F.adaptive_avg_pool2d(both[None], _LARGE)[0]
    low, high = np.percentile(small.numpy(), (0.5, 99.5))
    return ((small - float(low)) / max(float(high - low), 1e-6)).clamp(0, 1), share


class Bank:
    """Random batches of pictures.

    Args:
        pictures: frontal ones of several sources, which are drawn equally often, and wrong ones.
    """

    def __init__(self, pictures: Sequence[Picture]) -> None:
        chests = [one for one in pictures if one.view == FRONTAL]
        self.chests = torch.stack([torch.stack([one.pixels, one.lungs, _air(one.pixels)]) for one in chests])
        self.chest_weights = _equal([one.source for one in chests])
        wrong = [one for one in pictures if one.view != FRONTAL]
        self.wrong = torch.stack([one.pixels for one in wrong])[:, None]
        self.wrong_views = torch.tensor([one.view for one in wrong])
        # CT slices and laterals look most like frontal radiographs.
        alike = torch.tensor([2.0 if one.source in ("ct", "lateral") else 1.0 for one in wrong])
        self.wrong_weights = _equal([one.source for one in wrong]) * alike

    def batch(self, size: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return (B, 1, 64, 64) thumbnails and their true classes, (B,) each: view, turns, mirrored, inverted."""
        count = int(size * _NOT_FRONTAL)
        wrong, views = self._draw_wrong(count)
        images = torch.cat([self._draw_chests(size - count), wrong])
        views = torch.cat([torch.full((size - count,), FRONTAL), views])
        mirrored = torch.rand(size) < 0.3
        images = torch.where(_wide(mirrored), images.flip(2), images)
        turns = torch.randint(0, 4, (size,)) * (torch.rand(size) < 0.6)
        # Counter-clockwise as seen, because the first axis is x.
        images = torch.stack([image.rot90(-int(turn), (1, 2)) for image, turn in zip(images, turns, strict=True)])
        images = _framed(_exposed(images))
        inverted = torch.rand(size) < 0.35
        images = _framed(torch.where(_wide(inverted), 1 - images, images))
        truth = {"view": views, "turns": turns, "mirrored": mirrored.float(), "inverted": inverted.float()}
        return _scaled(_blurred(images)), truth

    def _draw_chests(self, count: int) -> torch.Tensor:
        chosen = torch.multinomial(self.chest_weights, count, replacement=True)
        zoom = torch.exp(torch.empty(count, 2).uniform_(-0.4, 0.3))
        images = _warped(self.chests[chosen], zoom, angle=0.4, shift=0.2)
        # A light background: the film was cut out, or its air was windowed to white, which is not an inversion.
        light = _wide(torch.rand(count) < 0.15) & (images[:, 2:] > 0.5)
        return torch.where(light, torch.empty(count, 1, 1, 1).uniform_(0.5, 1), images[:, :1])

    def _draw_wrong(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        parts = count // 7
        chosen = torch.multinomial(self.wrong_weights, count - 4 * parts, replacement=True)
        views = self.wrong_views[chosen]
        # A small part of a lateral is not a lateral any more.
        least = torch.where(views == LATERAL, -0.35, -0.7)[:, None]
        zoom = torch.exp(least + torch.rand(len(chosen), 2) * (0.3 - least))
        pictures = _warped(self.wrong[chosen], zoom, angle=0.4, shift=0.2)
        made = [self._shuffled(parts), self._without_lungs(parts), self._tomograms(parts), drawn_images(parts)]
        return torch.cat([pictures, *made]), torch.cat([views, torch.full((4 * parts,), OTHER)])

    def _tomograms(self, count: int) -> torch.Tensor:
        """Draw CT slices: coronal ones from the lungs of radiographs, and axial ones from ellipses.

        There, lungs are evenly dark with light vessels and have a sharp border, and nothing is projected over them.
        """
        chosen = torch.randint(len(self.chests), (count,))
        zoom = torch.exp(torch.empty(count, 2).uniform_(-0.3, 0.3))
        pixels, lungs, air = _warped(self.chests[chosen], zoom, angle=0.2, shift=0.15).unbind(1)
        drawn = _axial(count)
        axial = torch.rand(count, 1, 1) < 0.4
        lungs, air = torch.where(axial, drawn[0], lungs) > 0.5, torch.where(axial, drawn[1], air) > 0.5
        dark, dense = torch.rand(count, 1, 1) * 0.3, torch.empty(count, 1, 1).uniform_(0.5, 0.9)
        tissue = dense + 0.15 * (F.avg_pool2d(pixels, 7, 1, 3) - 0.5) + torch.where(axial, drawn[2] * 0.3, 0.0)
        vessels = F.avg_pool2d(torch.randn(count, SIZE, SIZE), 3, 1, 1) > torch.empty(count, 1, 1).uniform_(0.5, 0.9)
        slices = torch.where(lungs, torch.where(vessels, dense, dark), tissue)
        return torch.where(air & ~lungs, torch.rand(count, 1, 1) * 0.25, slices)[:, None]

    def _shuffled(self, count: int) -> torch.Tensor:
        quarters = self._draw_chests(count).unflatten(2, (2, SIZE // 2)).unflatten(4, (2, SIZE // 2))
        order = torch.tensor([(2, 3, 0, 1), (1, 0, 3, 2), (3, 2, 1, 0), (1, 2, 3, 0), (2, 0, 3, 1)])
        tiles = quarters.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
        tiles = torch.stack([tile[order[torch.randint(5, ())]] for tile in tiles]).unflatten(1, (2, 2))
        return tiles.permute(0, 3, 1, 4, 2, 5).flatten(2, 3).flatten(3, 4)

    def _without_lungs(self, count: int) -> torch.Tensor:
        """Parts of radiographs with at most a tenth of lung: shoulder, arm, belly."""
        found: list[torch.Tensor] = []
        while sum(len(part) for part in found) < count:
            chosen = torch.randint(len(self.chests), (2 * count,))
            parts = _warped(self.chests[chosen, :2], torch.empty(2 * count, 2).uniform_(0.2, 0.5), angle=0.4, shift=0.8)
            inside = parts[:, :1].mean((1, 2, 3)) > 0.05
            found.append(parts[inside & (parts[:, 1].mean((1, 2)) < 0.1)][:, :1])
        return torch.cat(found)[:count]


def _equal(sources: Sequence[str]) -> torch.Tensor:
    """Return weights that draw each source as often as the square root of its size."""
    counts = {source: sources.count(source) for source in set(sources)}
    return torch.tensor([counts[source] ** -0.5 for source in sources])


def _axial(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw axial slices: the lungs, the air around the body, and the bones, (B, 64, 64) float each."""
    axis = torch.linspace(-1, 1, SIZE)

    def ellipse(x: torch.Tensor, y: torch.Tensor, width: torch.Tensor, height: torch.Tensor) -> torch.Tensor:
        distance = ((axis[:, None] - x) / width) ** 2 + ((axis - y) / height) ** 2
        return torch.sigmoid(20 * (1 - distance))

    def between(low: float, high: float) -> torch.Tensor:
        return torch.empty(count, 1, 1).uniform_(low, high)

    width, height, zero = between(0.7, 1.1), between(0.5, 1.0), torch.zeros(count, 1, 1)
    body = ellipse(zero, zero, width, height)
    inner = ellipse(zero, zero, width * 0.85, height * 0.8)
    middle = ellipse(between(-0.05, 0.2) * width, between(-0.4, 0) * height, width * between(0.15, 0.4), height * 0.6)
    spine = ellipse(zero, height * 0.65, width * 0.15, height * 0.25)
    gap = ellipse(zero, zero, width * 0.08, height)
    lungs = inner * (1 - middle) * (1 - spine) * (1 - gap)
    return lungs, 1 - body, torch.maximum(spine, body - ellipse(zero, zero, width * 0.93, height * 0.9))


def _air(pixels: torch.Tensor) -> torch.Tensor:
    dark, _ = ndimage.label(pixels.numpy() < _AIR)
    edge = np.unique(np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]]))
    return torch.from_numpy(np.isin(dark, edge[edge > 0])).float()


def _wide(chosen: torch.Tensor) -> torch.Tensor:
    return chosen[:, None, None, None]


def _warped(images: torch.Tensor, zoom: torch.Tensor, angle: float, shift: float) -> torch.Tensor:
    """Zoom (under 1: a part), turn (radians at most) and shift (1: half a picture) to (B, C, 64, 64)."""
    count = len(images)
    turn = torch.empty(count).uniform_(-angle, angle)
    cos, sin = turn.cos(), turn.sin()
    moved = torch.empty(count, 2).uniform_(-shift, shift)
    matrix = torch.stack(
        [
            torch.stack([cos * zoom[:, 0], -sin * zoom[:, 1], moved[:, 0]], 1),
            torch.stack([sin * zoom[:, 0], cos * zoom[:, 1], moved[:, 1]], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, (count, images.shape[1], SIZE, SIZE), align_corners=False)
    mode = "border" if torch.rand(()) < 0.4 else "zeros"
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=mode, align_corners=False)


def _framed(images: torch.Tensor) -> torch.Tensor:
    """Add a frame or a bar to some, and words to some: light, grey or dark."""
    count, axis = len(images), torch.linspace(0, 1, SIZE)
    widths = torch.rand(4, count, 1) ** 3 * 0.3 * (torch.rand(4, count, 1) < 0.6)
    across = (axis < widths[0]) | (axis > 1 - widths[1])
    along = (axis < widths[2]) | (axis > 1 - widths[3])
    frame = (across[:, :, None] | along[:, None, :]) & (torch.rand(count, 1, 1) < 0.25)
    images = torch.where(frame[:, None], _level(count), images)
    for _ in range(2):
        centre, half = torch.rand(2, count, 1), torch.rand(2, count, 1) * torch.tensor([0.15, 0.05])[:, None, None]
        word = ((axis - centre[0]).abs() < half[0])[:, :, None] & ((axis - centre[1]).abs() < half[1])[:, None, :]
        word &= torch.rand(count, 1, 1) < 0.2
        images = torch.where(word[:, None], _level(count), images)
    return images


def _level(count: int) -> torch.Tensor:
    kind = torch.randint(3, (count, 1, 1, 1))
    return torch.where(kind == 0, 0.0, torch.where(kind == 1, 1.0, torch.rand(count, 1, 1, 1)))


def _exposed(images: torch.Tensor) -> torch.Tensor:
    """Change the exposure, the window and local densities."""
    count, axis = len(images), torch.linspace(-1, 1, SIZE)
    for _ in range(2):
        centre, radius = torch.empty(2, count, 1, 1).uniform_(-1, 1), torch.empty(2, count, 1, 1).uniform_(0.1, 0.7)
        distance = (axis[None, :, None] - centre[0]) ** 2 / radius[0] ** 2
        distance = distance + (axis[None, None, :] - centre[1]) ** 2 / radius[1] ** 2
        weight = torch.sigmoid(4 * (1 - distance)) * (torch.rand(count, 1, 1) < 0.25) * torch.rand(count, 1, 1)
        images = images + weight[:, None] * (torch.rand(count, 1, 1, 1) - images)
    slope = torch.empty(2, count, 1, 1, 1).uniform_(-0.3, 0.3) * (torch.rand(count, 1, 1, 1) < 0.4)
    images = images + slope[0] * axis[:, None] + slope[1] * axis
    images = images.clamp(0, 1) ** torch.exp(torch.empty(count, 1, 1, 1).uniform_(-1.2, 1.2))
    windowed = torch.rand(count, 1, 1, 1) < 0.4
    low = torch.rand(count, 1, 1, 1) * 0.35
    window = (images - low) / (0.3 + torch.rand(count, 1, 1, 1) * (0.7 - low))
    return torch.where(windowed, window, images).clamp(0, 1)


def _blurred(images: torch.Tensor) -> torch.Tensor:
    """Blur some, and add noise."""
    blurred = F.avg_pool2d(images, 5, 1, 2, count_include_pad=False)
    images = torch.where(_wide(torch.rand(len(images)) < 0.2), blurred, images)
    return images + torch.randn_like(images) * 0.06 * torch.rand(len(images), 1, 1, 1) ** 2


def _scaled(images: torch.Tensor) -> torch.Tensor:
    # A quarter of the pixels: sorting takes most of the time.
    some = images[:, :, ::2, ::2].flatten(1)
    low, high = some.quantile(torch.tensor([0.01, 0.99]), dim=1)[:, :, None, None, None]
    return ((images - low) / (high - low).clamp(1e-6)).clamp(0, 1)


def plain(pictures: Sequence[Picture], change: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Return the thumbnails (B, 1, 64, 64) of pictures after `change` of (128, 128) pixels."""
    changed = torch.stack([change(one.pixels) for one in pictures])[:, None]
    return _scaled(F.adaptive_avg_pool2d(changed, SIZE))
