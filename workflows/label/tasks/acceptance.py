# SPDX-License-Identifier: Apache-2.0
"""Whether new weights take the place of those that they were trained from."""

from __future__ import annotations

from collections.abc import Mapping


def judge(
    best_epoch: int, held_out: Mapping[str, float] | None, replay: Mapping[str, float] | None, tolerance: float
) -> tuple[bool, str]:
    """Return whether the new weights are not worse, and the reason as a sentence.

    Args:
        best_epoch: the epoch that the validation list chose; 0 for the weights that the training began with.
        held_out: mean Dice of the "old" and the "new" weights on the held-out labels, and the number "n" of cases.
        replay: the same on the validation list of the replay data; None if there are none.
        tolerance: the largest drop on the replay data that counts as not worse.
    """
    if best_epoch == 0:
        return False, "kept, not made active: no epoch was better than the weights that the training began with"
    reasons = []
    for where, means, allowed in (
        ("the held-out labels", held_out, 0.0),
        ("the replay data's validation list", replay, tolerance),
    ):
        if means is None:
            reasons.append("there are no replay data to compare on")
            continue
        reasons.append(f"on {where} ({means['n']}) the mean Dice goes from {means['old']:.4f} to {means['new']:.4f}")
        if means["new"] < means["old"] - allowed:
            return False, f"kept, not made active: {reasons[-1]}"
    return True, f"made active: {'; '.join(reasons)}"
