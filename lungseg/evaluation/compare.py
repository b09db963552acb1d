# SPDX-License-Identifier: Apache-2.0
"""Compare evaluations, runs and weights on the cases that all of them have: `lungseg compare`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from os import PathLike
from typing import Any

from lungseg.evaluation.measured import Measured, measure_all
from lungseg.evaluation.side_by_side import draw_case
from lungseg.metrics.paired import paired_metrics
from lungseg.metrics.summary import BOOTSTRAP
from lungseg.report.comparison import write_comparison
from lungseg.report.verdict import describe_pair
from lungseg.utils.errors import LungsegError
from lungseg.utils.files import usable_folder
from lungseg.utils.text import shorten_list
from lungseg.version import __version__

_log = logging.getLogger(__name__)

# More than these are compared with the first one alone.
_ALL_PAIRS = 4
_SHOWN = 3


def compare(
    output: str | PathLike[str],
    choices: Sequence[str | PathLike[str]],
    split: str = "test",
    overrides: Mapping[str, Any] | None = None,
    trust: bool = False,
    device: str = "auto",
    on_case: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compare two or more evaluations, runs or weights on the same cases.

    Args:
        output: folder for `comparison.csv`, `comparison.json`, `index.html`, `pictures`, and `evaluations` of runs and
            weights.
        choices: folders of evaluations, of cross-validations or of runs; or weights, see
            :func:`lungseg.model.paths.weights_file`. Two to four are compared with each other, more with the first one.
        split: the list that runs and weights are measured on: "train", "validation", "test" or "all".
        overrides: items of the config, such as {"dataset_dir": "/data"}, with which runs and weights are measured.
        trust, device, on_case: see :func:`lungseg.evaluation.evaluate.evaluate`.

    Returns:
        The content of `comparison.json`: `compared` (name, weights, number of cases left out, mean of each metric),
        `cases` (their number), `extent`, `pairs` (`first`, `second`, a `sentence`, and for each metric the figures of
        :func:`lungseg.metrics.paired.paired_figures`), `warnings`, `bootstrap` and `lungseg` (the version).

    Raises:
        UsageError: a choice cannot be compared, or there are fewer than two, or no data to measure runs on.
        LungsegError: the choices have no case in common (no-common-case), or only cases whose images or references
            differ (references-differ); or an evaluation cannot be read or made.
    """
    output = usable_folder(output)
    measured = measure_all(choices, output, split, overrides or {}, trust, device, on_case)
    names, warnings = common_cases(measured)
    everything = [[one.rows[name] for name in names] for one in measured]
    extent = max(row["extent"] for row in everything[0])
    # Lungs to different extents are never averaged.
    places = [place for place, row in enumerate(everything[0]) if row["extent"] == extent]
    chosen = [[rows[place] for place in places] for rows in everything]
    if len(places) < len(names):
        warnings.append(f"{len(names) - len(places)} cases show the lungs to another extent, and are not in the means.")
    numbers = range(len(measured))
    paired = list(combinations(numbers, 2)) if len(measured) <= _ALL_PAIRS else [(0, other) for other in numbers[1:]]
    pairs = []
    for first, second in paired:
        pair = {"first": measured[first].name, "second": measured[second].name}
        metrics = paired_metrics(chosen[first], chosen[second])
        pairs.append({**pair, "sentence": describe_pair(**pair, metrics=metrics), "metrics": metrics})
    result = {
        "lungseg": __version__,
        "cases": len(places),
        "extent": extent,
        "compared": [
            {"name": one.name, "weights": one.weights, "left_out": len(one.rows) - len(places)} for one in measured
        ],
        "pairs": pairs,
        "warnings": warnings + _seen(measured, names),
        "bootstrap": BOOTSTRAP,
    }
    for warning in result["warnings"]:
        _log.warning("%s", warning)
    write_comparison(result, chosen, output, lambda name: draw_case(name, measured))
    return result


def common_cases(measured: Sequence[Measured]) -> tuple[list[str], list[str]]:
    """Return the names of the cases that all have, measured against the same references, sorted; and warnings.

    Raises:
        LungsegError: there is none.
    """
    shared = sorted(set.intersection(*(set(one.rows) for one in measured)))
    if not shared:
        examples = " and ".join(f"{one.name} has {min(one.rows)}" for one in measured[:2])
        what = f"no case is in all of them: {examples}"
        raise LungsegError(what, remedy="measure them on the same images", code="no-common-case")
    different = [name for name in shared if _differs([one.rows[name] for one in measured])]
    names = [name for name in shared if name not in set(different)]
    if not names:
        what = f"the {len(shared)} cases with the same names have other images or references in each"
        raise LungsegError(what, remedy="measure them on the same data set", code="references-differ")
    warnings = []
    for one in measured:
        if only := len(one.rows) - len(shared):
            warnings.append(
                f"{only} of the {len(one.rows)} cases of {one.name} are left out: not all of them have them."
            )
    if different:
        warnings.append(
            f"{len(different)} cases are left out, because their images or references are not the same in all "
            f"({shorten_list(different, _SHOWN)})."
        )
    unknown = [one.name for one in measured if not all(one.rows[name].get("inputs") for name in names)]
    if unknown:
        warnings.append(
            f"The evaluation of {unknown[0]} does not say which references it used: "
            "the cases are taken to be the same because their names are."
        )
    return names, warnings


def _differs(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether one case was measured on different images or references."""
    known = {row["inputs"] for row in rows if row.get("inputs")}
    return len(known) > 1 or len({row["extent"] for row in rows}) > 1


def _seen(measured: Sequence[Measured], names: Sequence[str]) -> list[str]:
    warnings = [warning for one in measured for warning in one.warnings]
    for one in measured:
        if seen := sorted(set(one.seen) & set(names)):
            warnings.append(
                f"{one.name} was trained on {len(seen)} of the {len(names)} cases, by their names "
                f"({shorten_list(seen, _SHOWN)}): unless they are other radiographs, the comparison favours it."
            )
    return warnings
