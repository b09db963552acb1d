# SPDX-License-Identifier: Apache-2.0
"""Which new weights take the place of the old ones."""

from __future__ import annotations

import pytest

from lungseg.workflows.label.tasks.acceptance import judge

BETTER = {"old": 0.9, "new": 0.91, "n": 4}
WORSE = {"old": 0.9, "new": 0.898, "n": 4}


@pytest.mark.parametrize(
    ("best_epoch", "held_out", "replay", "tolerance", "accepted", "reason"),
    [
        (
            3,
            BETTER,
            None,
            0.001,
            True,
            "made active: on the held-out labels (4) the mean Dice goes from 0.9000 to 0.9100",
        ),
        (3, WORSE, None, 0.001, False, "kept, not made active: on the held-out labels"),
        (3, BETTER, WORSE, 0.001, False, "kept, not made active: on the replay data's validation list"),
        (3, BETTER, WORSE, 0.01, True, "; on the replay data's validation list (4)"),
        (0, BETTER, BETTER, 0.001, False, "kept, not made active: no epoch was better"),
    ],
)
def test_new_weights_become_active_only_if_they_are_not_worse(
    best_epoch, held_out, replay, tolerance, accepted, reason
):
    verdict = judge(best_epoch, held_out, replay, tolerance)
    assert verdict[0] is accepted
    assert reason in verdict[1]
