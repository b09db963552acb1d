# SPDX-License-Identifier: Apache-2.0
"""Outlines of regions: drawn again, they are the region, whatever its shape and whoever draws them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from skimage.draw import polygon2mask
from skimage.measure import points_in_poly

from lungseg.data import phantom
from lungseg.io.polygons import TOLERANCE, find_polygons


def drawn(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels whose centres lie in the polygons."""
    found = np.zeros(shape, dtype=bool)
    for polygon in polygons:
        found |= polygon2mask(shape, polygon[:, ::-1] - 0.5)
    return found


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


@pytest.fixture
def ring() -> np.ndarray:
    """A disc of radius 40 with two holes."""
    y, x = np.ogrid[:100, :120]
    disc = (y - 50) ** 2 + (x - 60) ** 2 < 40**2
    return disc & ((y - 40) ** 2 + (x - 45) ** 2 >= 9**2) & ((y - 60) ** 2 + (x - 75) ** 2 >= 6**2)


@pytest.mark.parametrize("seed", range(3))
def test_lungs_of_ordinary_size_are_drawn_again(seed):
    labels = phantom(seed, (512, 448))[1]
    for lung in (1, 2):
        region = labels == lung
        polygons = find_polygons(region)
        assert dice(drawn(polygons, region.shape), region) > 0.99
        assert sum(map(len, polygons)) < 200


def test_coordinates_are_those_of_pixel_corners():
    region = np.zeros((7, 9), dtype=bool)
    region[2:5, 3:8] = True
    (polygon,) = find_polygons(region, tolerance=0)
    assert (polygon.min(axis=0).tolist(), polygon.max(axis=0).tolist()) == ([3, 2], [8, 5])
    assert np.array_equal(drawn([polygon], region.shape), region)
    # It is open: the first corner does not come again.
    assert not np.array_equal(polygon[0], polygon[-1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (4, 4)], ids=str)
def test_a_region_that_fills_the_picture_and_small_ones(shape):
    region = np.ones(shape, dtype=bool)
    (polygon,) = find_polygons(region)
    assert len(polygon) >= 3
    assert (polygon >= 0).all()
    assert (polygon <= (shape[1], shape[0])).all()
    assert np.array_equal(drawn([polygon], shape), region)


def test_an_empty_region_has_no_outline():
    assert find_polygons(np.zeros((5, 6), dtype=bool)) == []


def test_parts_are_polygons_of_their_own_largest_first():
    region = np.zeros((30, 40), dtype=bool)
    region[2:6, 3:9], region[10:28, 12:35] = True, True
    # It touches the first one at a corner alone.
    region[6:8, 9:11] = True
    polygons = find_polygons(region)
    assert [drawn([polygon], region.shape).sum() for polygon in polygons] == [18 * 23, 24, 4]


def test_holes_stay_holes_by_both_rules_of_filling(ring):
    (polygon,) = find_polygons(ring)
    assert dice(drawn([polygon], ring.shape), ring) > 0.99
    # Even-odd: whether a point lies in the polygon. Winding: the signed area is that of the region without its holes.
    assert not points_in_poly([(45.5, 40.5), (75.5, 60.5)], polygon).any()
    x, y = polygon.T
    area = (np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert area == pytest.approx(ring.sum(), rel=0.01)


def test_pillow_draws_holes_too(ring):
    (polygon,) = find_polygons(ring)
    picture = Image.new("1", ring.shape[::-1])
    ImageDraw.Draw(picture).polygon([(x - 0.5, y - 0.5) for x, y in polygon.tolist()], fill=1)
    assert dice(np.asarray(picture), ring) > 0.96
    assert not np.asarray(picture)[40, 45]


def test_a_part_in_a_hole_is_a_part(ring):
    ring[38:43, 43:48] = True
    polygons = find_polygons(ring)
    assert len(polygons) == 2
    assert dice(drawn(polygons, ring.shape), ring) > 0.99


def test_no_border_moves_by_more_than_the_tolerance(ring):
    exact, simple = (np.concatenate(find_polygons(ring, tolerance)) for tolerance in (0, TOLERANCE))
    assert len(simple) < len(exact) / 3
    ends = np.roll(simple, -1, axis=0)
    for point in exact:
        along = ends - simple
        share = ((point - simple) * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-9)
        nearest = simple + np.clip(share, 0, 1)[:, None] * along
        assert np.sqrt(((point - nearest) ** 2).sum(axis=1)).min() <= TOLERANCE + 1e-9


def test_pycocotools_draws_the_same_region(ring):
    mask = pytest.importorskip("pycocotools.mask")
    polygons = [polygon.ravel().tolist() for polygon in find_polygons(ring)]
    found = mask.decode(mask.merge(mask.frPyObjects(polygons, *ring.shape))).astype(bool)
    assert dice(found, ring) > 0.99
