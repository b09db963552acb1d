# SPDX-License-Identifier: Apache-2.0
"""The shipped weights on real radiographs, of the validation lists: the test lists are for reporting alone."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif("LUNGSEG_DATA" not in os.environ, reason="LUNGSEG_DATA does not name the real data"),
]
COLLECTION = os.path.join(os.environ.get("LUNGSEG_DATA", ""), "Lung Segmentation")


@pytest.mark.parametrize(("weights", "least"), [("shipped", 0.97), ("open", 0.955)])
def test_shipped_weights_on_montgomery(command, tmp_path, weights, least):
    done = command(
        *("evaluate", "--data", COLLECTION, "--datasets", "montgomery", "--split", "validation"),
        *("--weights", weights, "--output", tmp_path),
    )
    assert done.status == 0, done.err
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["overall"]["n"] == 14
    assert summary["overall"]["metrics"]["dice"]["mean"] > least
    assert summary["overall"]["metrics"]["dice"]["worst"] > 0.9
    assert "Dice, both lungs" in done.out


def test_check_data_counts_the_public_collection(command, tmp_path):
    done = command("check-data", COLLECTION, "-o", tmp_path / "sheet.png")
    assert done.status == 0, done.err
    for line in ("800 images", "704 masks", "704 pairs", "96 images without a mask", "0 masks without an image"):
        assert line in done.out
    assert (tmp_path / "sheet.png").stat().st_size > 100_000
