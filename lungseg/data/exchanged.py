# SPDX-License-Identifier: Apache-2.0
"""Recognise a data set whose references exchange right and left."""

from __future__ import annotations

from collections.abc import Sequence

from lungseg.data.label_values import labels_option
from lungseg.data.labels import SWAPPED
from lungseg.data.pairing import Case
from lungseg.data.problems import LATERALITY_IMPLAUSIBLE, Problem

# Among so many of the references it is a fact about the data set, and no longer about single cases.
_SHARE = 0.5


def is_swapped(problem: Problem) -> bool:
    """Return whether the problem is that the right lung lies on the right of the picture."""
    return problem.kind == LATERALITY_IMPLAUSIBLE and problem.sentence.startswith(SWAPPED)


def exchanged_option(problems: Sequence[Problem], pairs: Sequence[Case], labels: str | None) -> str | None:
    """Return the option that exchanges right and left if most references have them exchanged, and otherwise None.

    Args:
        problems: of the data set.
        pairs: its cases.
        labels: what is stated about the values, see :func:`lungseg.data.label_values.parse_labels`.

    Returns:
        The option; empty if each lung has a mask of its own, so that there are no values.
    """
    if sum(map(is_swapped, problems)) <= _SHARE * len(pairs):
        return None
    if isinstance(pairs[0].label, tuple):
        return ""
    sides = {"right": "left", "left": "right"}
    stated = [part.strip().partition("=") for part in (labels or "right=1,left=2").split(",")]
    return labels_option((sides.get(name.strip().lower(), name), value) for name, _, value in stated)


def describe_exchange(problems: Sequence[Problem], pairs: Sequence[Case], option: str) -> str:
    """Return the sentence for the whole data set."""
    count = sum(map(is_swapped, problems))
    remedy = f"give {option}" if option else "exchange the folders of the two lungs"
    return f"right and left are exchanged in {count} of the {len(pairs)} masks; {remedy}"
