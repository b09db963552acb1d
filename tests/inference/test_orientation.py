# SPDX-License-Identifier: Apache-2.0
"""A picture is turned or inverted only where that is suspected, and only where the result is better for it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from lungseg.inference.orientation import Orientation, best, score, suspected
from lungseg.io import read_radiograph

DATA = Path(os.environ.get("LUNGSEG_DATA", "/nowhere"))
SURE = {"upright": 1.0, "turned_90": 0.0, "turned_180": 0.0, "turned_270": 0.0, "inverted": 0.0, "frontal": 1.0}


def judgement(quality: float = 0.95, **recognised: float) -> dict:
    return {"quality": quality, "recognised": SURE | recognised}


def test_the_usual_picture_has_no_alternative():
    assert suspected(judgement()) == []
    assert suspected({}) == []


def test_suspicions_are_combined():
    assert suspected(judgement(turned_180=0.3)) == [Orientation(2, False)]
    assert suspected(judgement(inverted=0.3)) == [Orientation(0, True)]
    assert suspected(judgement(turned_90=0.9, inverted=0.3)) == [
        Orientation(0, True),
        Orientation(1, False),
        Orientation(1, True),
    ]


def test_a_poor_result_lets_suspect_sooner():
    assert suspected(judgement(inverted=0.01)) == []
    assert suspected(judgement(0.5, inverted=0.01)) == [Orientation(0, True)]


def test_the_better_alternative_is_kept_and_a_tie_leaves_the_picture_as_it_was_read():
    asked = []

    def choose(first: dict, other: dict) -> dict:
        def segment(orientation: Orientation) -> dict:
            asked.append(orientation)
            return other

        return best(first, lambda one: one, segment)

    inverted, corrected = judgement(0.6, inverted=0.9), judgement(0.95)
    assert choose(inverted, corrected) is corrected
    doubtful = judgement(0.95, inverted=0.1)
    assert choose(doubtful, judgement(0.3)) is doubtful
    tie = judgement(0.95, inverted=0.1)
    assert choose(tie, dict(tie)) is tie
    assert asked == [Orientation(0, True)] * 3


def test_scores_grow_with_quality_and_with_looks():
    scores = [score(judgement(quality)) for quality in (0.3, 0.9, 0.95)]
    assert scores == sorted(scores)
    assert score(judgement(upright=0.5)) < score(judgement())
    assert score(judgement(inverted=0.5)) < score(judgement())


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_radiograph_gets_the_turned_result(radiograph, segment, turns):
    upright, turned = segment(radiograph), segment(np.rot90(radiograph, turns))
    assert "quarter-turn" not in upright.notes
    assert turned.orientation == Orientation(turns, False)
    assert f"turned by {90 * turns} degrees" in turned.notes["quarter-turn"]
    assert np.array_equal(turned.labels, np.rot90(upright.labels, turns))
    assert np.allclose(turned.probabilities, np.rot90(upright.probabilities, turns, (1, 2)), atol=1e-5)


def test_an_inverted_radiograph_gets_the_same_result(radiograph, segment):
    upright, inverted = segment(radiograph), segment(255 - radiograph)
    assert "inverted" not in upright.notes
    assert "inverted" in inverted.notes
    assert np.mean(inverted.labels != upright.labels) < 1e-3


def test_turned_and_inverted_at_once(radiograph, segment):
    upright, both = segment(radiograph), segment(np.rot90(255 - radiograph))
    assert {"quarter-turn", "inverted"} <= set(both.notes)
    assert np.mean(both.labels != np.rot90(upright.labels)) < 1e-3


@pytest.mark.parametrize("level", [0, 140, 255])
def test_a_frame_does_not_change_the_orientation(radiograph, segment, level):
    rows, columns = (n // 6 for n in radiograph.shape)
    framed = np.pad(radiograph, ((rows, rows), (columns, columns)), constant_values=level)
    found = segment(framed)
    assert not {"quarter-turn", "inverted"} & set(found.notes)
    ours, theirs = found.labels[rows:-rows, columns:-columns] > 0, segment(radiograph).labels > 0
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.95


@pytest.mark.skipif(not (DATA / "wards").is_dir(), reason="LUNGSEG_DATA has no wards")
@pytest.mark.parametrize("name", ["adult_0068", "adult_0193", "adult_0045", "adult_0207"])
def test_light_bedside_films_stay_as_they_are(segment, name):
    """A recogniser that had not seen bedside films took the first two for inverted; the others are light, too."""
    found = segment(read_radiograph(DATA / "wards" / "images" / f"{name}.jpg").pixels.astype(np.uint8))
    assert found.orientation == Orientation(0, False)
    assert not {"quarter-turn", "inverted"} & set(found.notes)


@pytest.mark.skipif(not (DATA / "field").is_dir(), reason="LUNGSEG_DATA has no small inputs")
def test_a_phantom_in_a_light_frame_under_a_title_bar_keeps_its_lungs(segment):
    found = segment(read_radiograph(DATA / "field" / "light_frame_with_bar.png").pixels.astype(np.uint8))
    assert not {"quarter-turn", "inverted"} & set(found.notes)
    # The lungs of the picture as it is drawn: two ellipses and their borders.
    for x, label in ((235, 1), (420, 2)):
        assert (found.labels[150:250, x] == label).mean() > 0.9
