# SPDX-License-Identifier: Apache-2.0
"""Outlines of regions as polygons, for the file formats of annotation tools."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# An outline may leave that of the pixels by this much: half as many points, and hardly another area.
TOLERANCE = 0.75
_LEAST_POINTS = 3

Polygon = NDArray[np.float64]


def find_polygons(region: NDArray[np.bool_], tolerance: float = TOLERANCE) -> list[Polygon]:
    """Return the outlines of a region, largest first.

    The outlines are those of marching squares (:func:`skimage.measure.find_contours`), simplified after Douglas and
    Peucker. Polygons of annotation tools have no holes: an outline goes along a seam of no width to each hole, around
    it in the other direction, and back, so that both rules of filling leave the hole out.

    Args:
        region: (H, W) bool. Pixels that touch at a corner alone belong to different polygons.
        tolerance: greatest distance in pixels of an outline from the one before it was simplified.

    Returns:
        For each connected part (N, 2) float64: x and y of its corners in pixels, without the first one at the end. As
        in COCO and LabelMe, (0, 0) is the upper left corner of the first pixel, and its centre is (0.5, 0.5).
    """
    from skimage.measure import approximate_polygon, find_contours, points_in_poly

    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    if not rows.size:
        return []
    box = region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # With background on all sides, every outline is closed. The padding adds one pixel; from a pixel's centre, where
    # marching squares count, to its corner it is half a pixel.
    offset = np.array((columns[0], rows[0])) - 0.5
    outers: list[Polygon] = []
    holes: list[Polygon] = []
    for contour in find_contours(np.pad(box, 1).astype(np.float64), 0.5):
        points = contour[:, ::-1] + offset
        simple = approximate_polygon(points, tolerance)[:-1]
        ring = simple if len(simple) >= _LEAST_POINTS else points[:-1]
        (outers if _signed_area(points) > 0 else holes).append(ring)
    outers.sort(key=_signed_area, reverse=True)
    for hole in holes:
        around = [number for number, outer in enumerate(outers) if points_in_poly(hole[:1], outer)[0]]
        if around:
            outers[around[-1]] = _join(outers[around[-1]], hole)
    return outers


def _signed_area(points: Polygon) -> float:
    """Return the area of a polygon, positive if it goes around as outlines do, negative for holes."""
    x, y = points.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _join(outer: Polygon, hole: Polygon) -> Polygon:
    """Return one ring that goes around `outer` and `hole`, along a seam between their nearest corners."""
    distances = ((outer[:, None] - hole[None]) ** 2).sum(axis=2)
    here, there = np.unravel_index(np.argmin(distances), distances.shape)
    return np.concatenate([outer[: here + 1], hole[there:], hole[: there + 1], outer[here:]])
