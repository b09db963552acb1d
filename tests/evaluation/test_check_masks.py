# SPDX-License-Identifier: Apache-2.0
"""Masks that do not lie on the lungs are explained; right ones, and doubtful results, give no warning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from field_masks import shifted, write_pairs

import lungseg
from lungseg.data import check_data, find_data, phantom
from lungseg.evaluation.check_masks import check_masks
from lungseg.evaluation.mask_findings import Compared, findings
from lungseg.evaluation.mask_fit import GRID, ORIENTATIONS, best_shift, dice, on_grid

CHANGES = {
    "turned-180": lambda m: np.rot90(m, 2),
    "mirrored": np.fliplr,
    "upside-down": np.flipud,
    "turned-90-clockwise": lambda m: np.rot90(m, -1),
    "turned-90-counter-clockwise": np.rot90,
    "transposed": np.transpose,
    "transposed-and-turned": lambda m: np.rot90(m, 2).T,
}


def lungs_of(seed: int) -> np.ndarray:
    return on_grid(phantom((5, seed), (GRID * 2, GRID * 2))[1] > 0)


def compared(seed: int, **changes) -> Compared:
    lungs = lungs_of(seed)
    size = (1000, 500)
    right = Compared(f"case {seed}", Path(f"{seed}.png"), lungs, (lungs,), size, upright=True, swapped=False)
    return replace(right, **changes)


def no_others(name: str) -> dict:
    return {}


def codes(cases: list[Compared], others=no_others) -> dict[str, tuple[str, ...]]:
    return {finding.code: finding.cases for finding in findings(cases, others)}


def test_right_masks_give_no_finding():
    assert codes([compared(seed) for seed in range(20)]) == {}
    assert codes([]) == {}


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=lambda one: one.name)
def test_each_orientation_is_named_and_undone(orientation):
    change = CHANGES[orientation.name]
    picture = np.arange(12).reshape(3, 4) % 5 > 2
    np.testing.assert_array_equal(orientation.undo(change(picture)), picture)
    assert orientation.transposes == (change(picture).shape != picture.shape)
    cases = [compared(seed, mask=change(lungs_of(seed))) for seed in range(4)]
    assert codes(cases) == {f"masks-{orientation.name}": tuple(f"case {seed}" for seed in range(4))}


def test_a_few_turned_masks_of_many_are_named():
    cases = [compared(seed) for seed in range(12)]
    for number in (3, 8):
        cases[number] = compared(number, mask=CHANGES["turned-180"](lungs_of(number)))
    (finding,) = findings(cases, no_others)
    assert (finding.code, finding.cases) == ("masks-turned-180", ("case 3", "case 8"))
    assert str(finding).startswith("2 of 12 masks (3.png, 8.png) are turned by 180 degrees: ")


def test_a_mask_with_width_and_height_exchanged_can_only_be_turned_by_90_degrees():
    mask = CHANGES["turned-90-clockwise"](lungs_of(1))
    case = compared(1, mask=mask, upright=False)
    (finding,) = findings([case], no_others)
    assert finding.code == "masks-turned-90-clockwise"
    assert "as they are" not in finding.sentence


def test_the_shift_is_found_in_pixels_of_the_image():
    mask = shifted(lungs_of(2), 6, 4)
    found = best_shift(mask, lungs_of(2))
    assert found.dice == pytest.approx(1, abs=0.01)
    assert (found.right * GRID, found.down * GRID) == (6, 4)
    (finding,) = findings([compared(seed, mask=shifted(lungs_of(seed), 6, 4)) for seed in range(4)], no_others)
    assert finding.code == "masks-shifted"
    # The images have 1000 x 500 pixels.
    assert "shifted by about 47 pixels to the right and 16 pixels downwards" in finding.sentence


def test_masks_with_each_others_names_are_found():
    cases = [compared(seed) for seed in range(10)]
    cases[2], cases[7] = replace(cases[2], mask=cases[7].mask), replace(cases[7], mask=cases[2].mask)
    (finding,) = findings(cases, no_others)
    assert (finding.code, set(finding.cases)) == ("masks-on-other-images", {"case 2", "case 7"})
    assert "2.png on case 7" in finding.sentence


def test_the_image_of_a_mask_is_searched_next_to_its_own():
    wide = on_grid(np.pad(lungs_of(3)[20:-20], ((40, 0), (0, 0))))
    cases = [compared(seed) for seed in range(6)]
    cases[0] = replace(cases[0], mask=wide)
    asked = []

    def next_to(name: str) -> dict:
        asked.append(name)
        return {"beside.png": (wide,)}

    (finding,) = findings(cases, next_to)
    assert finding.code == "masks-on-other-images"
    assert "0.png on beside.png" in finding.sentence
    assert asked == ["case 0"]


def test_a_mask_without_an_explanation_is_not_on_the_lungs():
    spot = np.zeros((GRID, GRID), bool)
    spot[50:70, 60:75] = True
    assert codes([compared(0, mask=spot), *(compared(seed) for seed in range(1, 5))]) == {
        "masks-elsewhere": ("case 0",)
    }


def test_masks_to_the_full_extent_are_compared_with_the_full_extent():
    visible, full = lungs_of(1), np.roll(lungs_of(1), 9, axis=1) | lungs_of(1)
    assert dice(visible, full) < 0.93
    assert compared(1, mask=full, lungs=(visible, full)).dice == 1


def test_results_in_doubt_are_not_used(tmp_path):
    result = check_data(find_data(write_pairs(tmp_path / "data", np.fliplr)))
    doubted = SimpleNamespace(doubts={"low-quality": "the estimated quality is low"}, notes={}, knows_heart=True)
    done = check_masks(result, lambda radiograph: doubted)
    assert (done.compared, done.doubtful, done.dice, done.findings) == (0, 3, None, [])
    assert "3 more were left out" in str(done)


def test_the_sample_is_seeded_and_stated(tmp_path):
    result = check_data(find_data(write_pairs(tmp_path / "data", lambda labels: labels, count=6)))
    segment = lungseg.load().predict
    first, again = (check_masks(result, segment, sample=2, seed=3) for _ in range(2))
    assert str(first) == str(again)
    assert "Compared 2 of 6 masks, drawn with the seed 3" in str(first)
    assert first.dice == again.dice != check_masks(result, segment, sample=2, seed=4).dice
    assert check_masks(result, segment, sample=None).compared == 6


def test_the_command_warns_and_refuses_only_if_it_is_strict(command, tmp_path):
    data = write_pairs(tmp_path / "data", np.flipud)
    call = ("check-data", data, "-o", tmp_path / "sheet.png")
    done = command(*call)
    assert done.status == 0
    assert done.err.startswith("lungseg: the masks are upside down: ")
    assert "Compared 3 of 3 masks" in done.out
    assert command(*call, "--strict").status == 1
    without = command(*call, "--strict", "--no-model")
    assert (without.status, without.err) == (0, "")
    assert "Compared" not in without.out
    assert command(*call, "--all-masks", "-q").out == ""
    assert command(*call, "--all-masks", "--no-model").status == 2


def test_masks_are_read_with_the_stated_values(command, tmp_path):
    data = write_pairs(tmp_path / "data", lambda labels: np.fliplr(np.choose(labels, np.array([0, 40, 90], np.uint8))))
    done = command("check-data", data, "-o", tmp_path / "sheet.png", "--labels", "right=90,left=40")
    assert done.status == 0
    assert "lungseg: the masks are mirrored: for 3 of 3" in done.err
