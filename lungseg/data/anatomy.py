# SPDX-License-Identifier: Apache-2.0
"""The outlines of phantoms, in a unit square: x to the right, y down, the patient's right side on the left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_RIGHT_MEDIAL = [(0.415, 0.19), (0.435, 0.3), (0.425, 0.42), (0.405, 0.52), (0.395, 0.64)]
_RIGHT_LATERAL = [(0.1, 0.6), (0.115, 0.45), (0.165, 0.3), (0.235, 0.175), (0.31, 0.115), (0.375, 0.12)]
_LEFT_MEDIAL = [(0.585, 0.19), (0.575, 0.24), (0.595, 0.29), (0.57, 0.37), (0.585, 0.45)]
_LEFT_LATERAL = [(0.9, 0.61), (0.885, 0.46), (0.835, 0.3), (0.765, 0.175), (0.69, 0.115), (0.625, 0.12)]
_BODY = [(0.42, -0.3), (0.42, 0.0), (0.3, 0.06), (0.1, 0.1), (-0.06, 0.2), (-0.02, 0.4), (0.02, 0.7), (0.0, 1.3)]
_MEDIASTINUM_RIGHT = [(0.45, -0.1), (0.43, 0.3), (0.39, 0.5), (0.37, 0.66), (0.4, 0.8)]


class Anatomy:
    """The outlines of one patient, in the unit square."""

    def __init__(self, rng: np.random.Generator) -> None:
        # How far the heart extends to the patient's left.
        heart = rng.uniform(0.07, 0.13)
        right_dome = rng.uniform(0.6, 0.67)
        # The liver lifts the right dome.
        left_dome = right_dome + rng.uniform(0.02, 0.05)
        right_angle, left_angle = right_dome + rng.uniform(0.07, 0.12), left_dome + rng.uniform(0.06, 0.1)
        right_base = [(0.38, right_dome + 0.035), (0.29, right_dome - 0.015), (0.19, right_dome + 0.01)]
        right_corner = [(0.115, right_angle), (0.1, right_angle)]
        border = [(0.585 + 0.7 * heart, 0.53), (0.59 + heart, 0.61), (0.59 + heart, left_dome)]
        left_base = [(0.77, left_dome - 0.01), (0.83, left_dome + 0.015)]
        left_corner = [(0.885, left_angle), (0.9, left_angle)]
        self.right_lung = _smooth(_wobble(_RIGHT_MEDIAL + right_base + right_corner + _RIGHT_LATERAL, rng, 0.006))
        self.left_lung = _smooth(_wobble(_LEFT_MEDIAL + border + left_base + left_corner + _LEFT_LATERAL, rng, 0.006))
        self.body = _smooth(_wobble(_BODY + [(1 - x, y) for x, y in reversed(_BODY)], rng, 0.01))
        self.mediastinum = _smooth(
            [*_MEDIASTINUM_RIGHT, (0.6 + heart, 0.78), (0.6 + heart, 0.62), (0.59, 0.45), (0.6, 0.27), (0.55, -0.1)]
        )
        right_liver = [(-0.2, right_angle + 0.05), (0.12, right_angle), (0.2, right_dome + 0.01)]
        right_liver += [(0.29, right_dome - 0.01), (0.4, right_dome + 0.05)]
        left_stomach = [(0.62, left_dome + 0.03), (0.76, left_dome), (0.88, left_angle)]
        left_stomach += [(1.2, left_angle + 0.05)]
        self.abdomen = _smooth(right_liver + left_stomach + [(1.2, 1.5), (-0.2, 1.5)])
        centre = (rng.uniform(0.7, 0.8), left_dome + rng.uniform(0.06, 0.09))
        self.gas = _ellipse(centre, rng.uniform(0.03, 0.07), rng.uniform(0.02, 0.04))
        self.posterior_ribs, self.anterior_ribs = _ribs(rng)
        lift = rng.uniform(-0.02, 0.03)
        clavicle = np.array([(0.46, 0.17), (0.36, 0.16 - lift), (0.24, 0.12 - lift), (0.08, 0.11 - lift)])
        self.clavicles = [clavicle, *_mirrored([clavicle])]
        blade = np.array([(0.02, 0.13), (0.08, 0.17), (0.13, 0.28), (0.11, 0.4)])
        self.scapulae = [blade, *_mirrored([blade])]
        self.vertebrae = [
            _smooth([(0.465, y), (0.535, y), (0.53, y + 0.045), (0.47, y + 0.045)]) for y in np.arange(-0.1, 1.2, 0.056)
        ]


def _ribs(rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the lines of the posterior ribs (down and outwards) and of the anterior ones (down and inwards)."""
    posterior, anterior = [], []
    drop, gap = rng.uniform(0.08, 0.13), rng.uniform(0.058, 0.066)
    t = np.linspace(0, 1, 16)
    for number in range(10):
        top = 0.11 + gap * number
        reach = 0.24 + 0.19 * min(1.0, number / 4)
        arch = top - 0.035 * np.sin(np.pi * t * 0.9) + drop * (0.5 + number / 12) * t**2
        posterior.append(np.stack([0.47 - reach * t, arch], axis=1))
        if number < 7:
            end = top + drop * (0.5 + number / 12)
            anterior.append(np.stack([0.47 - reach * (1 - 0.65 * t), end + 0.13 * t**0.8], axis=1))
    return posterior + _mirrored(posterior), anterior + _mirrored(anterior)


def _mirrored(lines: list[np.ndarray]) -> list[np.ndarray]:
    return [line * (-1, 1) + (1, 0) for line in lines]


def _wobble(points: list[tuple[float, float]], rng: np.random.Generator, by: float) -> np.ndarray:
    return np.asarray(points) + np.clip(rng.normal(0, by, (len(points), 2)), -2 * by, 2 * by)


def _smooth(points: Sequence[tuple[float, float]] | np.ndarray) -> np.ndarray:
    """Cut the corners of a closed polygon three times (Chaikin 1974): it tends to a quadratic B-spline."""
    points = np.asarray(points, dtype=float)
    for _ in range(3):
        following = np.roll(points, -1, axis=0)
        cut = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], axis=1)
        points = cut.reshape(-1, 2)
    return points


def _ellipse(centre: tuple[float, float], radius_x: float, radius_y: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([centre[0] + radius_x * np.cos(angle), centre[1] + radius_y * np.sin(angle)], axis=1)
