# SPDX-License-Identifier: Apache-2.0
"""The cardiothoracic ratio of drawings whose widths are known."""

import math
from functools import partial

import numpy as np
import pytest
from pydicom import dcmread
from scipy.ndimage import rotate

from lungseg.cli.demo import real_radiograph
from lungseg.inference.cardiothoracic import find_cardiothoracic_ratio, find_profiles, measure_widths
from lungseg.inference.predictor import Predictor
from lungseg.io.radiograph import Radiograph

WITHOUT_FLAGS: dict[str, str] = {}


def chest(size: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Lungs from column 40 to 360 of 400 where they are widest, row 280, and a heart from column 140 to 300."""
    y, x = np.mgrid[:size, :size] * 400 / size
    lungs = np.zeros((size, size), np.uint8)
    reach = 160 - np.abs(y - 280) / 2
    # The liver lies below the right lung: the centres are on a line that falls by three degrees.
    inside = (y >= 80) & (y < 330)
    lungs[inside & (y < 306) & (x >= 200 - reach) & (x < 170)] = 1
    lungs[inside & (x >= 230) & (x < 200 + reach)] = 2
    heart = ((x - 220) / 80) ** 2 + ((y - 250) / 60) ** 2 < 1
    return lungs, heart


def regions_of(lungs: np.ndarray, heart: np.ndarray) -> np.ndarray:
    """The bit field of lungs to their full extent that the heart hides."""
    return (lungs + 4 * ((lungs > 0) & ~heart) + 8 * heart).astype(np.uint8)


def probabilities_of(lungs: np.ndarray, heart: np.ndarray) -> np.ndarray:
    return np.stack([lungs == 1, lungs == 2, heart]).astype(np.float32)


def ratio_of(radiograph: Radiograph, flags: dict[str, str] = WITHOUT_FLAGS, always: bool = False):
    lungs, heart = chest()
    return find_cardiothoracic_ratio(
        regions_of(lungs, heart),
        partial(find_profiles, probabilities_of(lungs, heart)),
        radiograph,
        flags,
        always=always,
    )


def test_widths_are_counted_in_pixels():
    lungs, heart = chest()
    found = measure_widths(lungs, heart)
    columns = np.flatnonzero(heart.any(axis=0))
    assert found.heart[0][0] == columns[0]
    assert found.heart[1][0] == columns[-1] + 1
    assert found.chest == ((40.0, 280.5), (360.0, 280.5))
    assert found.ratio == (columns[-1] + 1 - columns[0]) / 320
    assert found.tilt == 0


@pytest.mark.parametrize("degrees", [-25, -15, 15, 25])
def test_a_tilted_patient_has_the_ratio_of_an_upright_one(degrees):
    lungs, heart = chest(600)
    upright = measure_widths(lungs, heart).ratio
    # SciPy turns counter-clockwise on the screen.
    turned, turned_heart = (rotate(array.astype(np.uint8), degrees, order=0) for array in (lungs, heart))
    found = measure_widths(turned, turned_heart > 0)
    assert found.ratio == pytest.approx(upright, abs=0.02)
    (x, y), (far_x, far_y) = found.chest
    assert math.degrees(math.atan2(far_y - y, far_x - x)) == pytest.approx(-degrees, abs=3)


def test_flat_pixels_change_the_ratio_of_a_tilted_patient_alone():
    lungs, heart = chest()
    squashed, squashed_heart = lungs[::2], heart[::2]
    assert measure_widths(squashed, squashed_heart, 2.0).ratio == pytest.approx(
        measure_widths(lungs, heart).ratio, abs=0.01
    )
    turned, turned_heart = (rotate(array.astype(np.uint8), 15, order=0)[::2] for array in (lungs, heart))
    found = measure_widths(turned, turned_heart > 0, 2.0)
    assert found.ratio == pytest.approx(measure_widths(lungs, heart).ratio, abs=0.03)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_there_is_no_ratio_without_heart_or_without_both_lungs(missing):
    lungs, heart = chest()
    lungs[lungs == missing] = 0
    assert measure_widths(lungs, heart & (missing > 0)) is None


def test_a_view_that_is_not_stated_is_said_to_be_unknown():
    found = ratio_of(Radiograph(np.zeros((400, 400), np.float32)))
    assert found.note == "view unknown"
    assert found.value == pytest.approx(0.5, abs=0.01)
    assert found.low <= found.value <= found.high
    assert len(found.lines) == 2


def test_a_film_from_behind_has_no_note():
    assert not ratio_of(Radiograph(np.zeros((400, 400), np.float32), projection="PA")).note


@pytest.mark.parametrize(
    ("facts", "flags", "reasons"),
    [
        ({"projection": "AP"}, {}, "AP view"),
        ({"projection": "AP", "supine": True}, {}, "AP view, supine patient"),
        ({"projection": "PA"}, {"tilted": "the patient is tilted"}, "tilted"),
        ({}, {"low-quality": "the estimated quality is low"}, "low-quality"),
    ],
)
def test_it_is_withheld_where_it_is_not_reliable_unless_it_is_asked_for(facts, flags, reasons):
    radiograph = Radiograph(np.zeros((400, 400), np.float32), **facts)
    withheld = ratio_of(radiograph, flags)
    assert (withheld.value, withheld.low, withheld.high, withheld.lines) == (None, None, None, ())
    assert withheld.note == f"withheld: {reasons}"
    given = ratio_of(radiograph, flags, always=True)
    assert given.value is not None
    assert given.note == f"not reliable: {reasons}"


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_picture_that_lies_on_its_side_has_the_same_ratio(turns):
    lungs, heart = chest(600)
    found = measure_widths(np.rot90(lungs, turns), np.rot90(heart, turns))
    assert found.ratio == pytest.approx(measure_widths(lungs, heart).ratio, abs=0.02)


def blurred_across(lungs: np.ndarray, heart: np.ndarray) -> np.ndarray:
    """Probabilities of a heart whose left and right border alone are uncertain."""
    x = np.mgrid[:400, :400][1]
    blurred = probabilities_of(lungs, heart)
    blurred[2] = np.where(heart.any(axis=1)[:, None], np.clip(1.5 - np.abs(x - 220) / 80, 0, 1), 0)
    return blurred


def interval(regions: np.ndarray, probabilities: np.ndarray) -> float:
    radiograph = Radiograph(np.zeros((400, 400), np.float32))
    found = find_cardiothoracic_ratio(regions, partial(find_profiles, probabilities), radiograph, {})
    return found.high - found.low


def test_the_interval_grows_with_the_blur_of_the_borders():
    lungs, heart = chest()
    regions, sharp = regions_of(lungs, heart), probabilities_of(lungs, heart)
    assert interval(regions, blurred_across(lungs, heart)) > interval(regions, sharp) >= 0


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_the_interval_is_found_along_the_patients_transverse_axis(turns):
    lungs, heart = chest()
    regions, probabilities = regions_of(lungs, heart), blurred_across(lungs, heart)
    turned = interval(np.rot90(regions, turns), np.rot90(probabilities, turns, (1, 2)))
    assert turned == pytest.approx(interval(regions, probabilities), abs=0.02)


@pytest.mark.parametrize(("view", "note"), [("PA", ""), ("AP", "withheld: AP view")])
def test_the_view_of_a_file_reaches_the_ratio(tmp_path, view, note):
    dataset = dcmread(real_radiograph())
    dataset.ViewPosition = view
    dataset.save_as(tmp_path / "a.dcm")
    assert Predictor().predict(tmp_path / "a.dcm").cardiothoracic_ratio.note == note
