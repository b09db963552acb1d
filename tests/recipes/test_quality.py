# SPDX-License-Identifier: Apache-2.0
"""The fit of the quality: exact where it can be, and right about rows whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lungseg.quality.features import NAMES
from lungseg.quality.network import QualityNetwork
from recipes.quality_fit import conformal_shift, estimate, fit
from recipes.quality_rows import UNDAMAGED, Rows, concatenate, load


def rows_of(source: str, count: int, seed: int = 0, kind: str = UNDAMAGED) -> Rows:
    """Results whose Dice, on the logit scale, is their first feature plus noise; good ones have alike shapes."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, len(NAMES))).astype(np.float32)
    agreement = rng.uniform(0.3, 0.999, count)
    features[:, 0] = agreement
    logit = -np.log(1 - agreement) + rng.normal(0, 0.2, count)
    return Rows(
        source=np.full(count, source),
        case=np.array([f"{source}_{number}" for number in range(count)]),
        kind=np.full(count, kind),
        left_out=np.zeros(count, bool),
        dice=1 / (1 + np.exp(-logit)),
        features=features,
        shape=rng.uniform(0, 1, (count, 2048)).astype(np.float32),
    )


@pytest.fixture(scope="module")
def known() -> Rows:
    return concatenate([rows_of("one", 400), rows_of("two", 400, 1)])


@pytest.fixture(scope="module")
def fitted(known) -> QualityNetwork:
    return fit(known, steps=150)


def test_the_estimate_follows_the_dice(fitted):
    new = rows_of("three", 300, 2)
    quality, lower = estimate(fitted, new)
    assert np.abs(quality - new.dice).mean() < 0.06
    assert (lower <= quality).all()


def test_the_bound_holds_for_nine_in_ten(fitted):
    fitted.shift.fill_(conformal_shift([(fitted, rows_of("three", 300, 2)), (fitted, rows_of("four", 300, 3))]))
    new = rows_of("five", 2000, 4)
    assert 0.87 < (new.dice >= estimate(fitted, new)[1]).mean() < 0.95


def test_the_shift_is_the_greatest_that_a_source_needs():
    """Without any regression the bound is one half, so that the distance of a Dice is its own logit."""
    network = QualityNetwork().eval()
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    one, other = rows_of("one", 9), rows_of("other", 19)
    # The ninth of nine results, and the eighteenth of nineteen, by the finite-sample correction.
    expected = [-np.sort(np.log(rows.dice / (1 - rows.dice)))[place] for rows, place in ((one, 0), (other, 1))]
    assert conformal_shift([(network, one)]) == pytest.approx(expected[0])
    assert conformal_shift([(network, other)]) == pytest.approx(expected[1])
    assert conformal_shift([(network, one), (network, other)]) == pytest.approx(max(expected))


def test_an_empty_result_is_worth_nothing(fitted):
    rows = rows_of("one", 5)
    rows.shape[2] = 0
    quality, lower = estimate(fitted, rows)
    assert (quality[2], lower[2]) == (0, 0)
    assert quality[[0, 1, 3, 4]].all()


def test_rows_are_kept(known, tmp_path):
    known.save(tmp_path / "rows.npz")
    kept = load(tmp_path / "rows.npz").where(known.source == "two")
    assert len(kept) == 400
    np.testing.assert_array_equal(kept.features, known.features[400:])
    assert set(kept.source) == {"two"}
