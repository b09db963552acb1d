# SPDX-License-Identifier: Apache-2.0
"""`python -m recipes.quality`: fit the estimate of quality, its lower bound, and check the doubts.

It is fitted to results on radiographs that the network did not see: the validation lists, as they are and corrupted,
turned and inverted ones among them, and with `--left-out` the training and validation lists of a source that a network
was trained without. Corruptions and wrong images that are held out are not seen. Each source is measured with an
estimate that was fitted without it.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from lungseg.model.paths import bundle_root
from lungseg.model.weights import load_weights_into, save_checkpoint
from lungseg.quality.network import QualityNetwork
from lungseg.utils.errors import LungsegError, UsageError
from recipes.command import add_trial, parser, run
from recipes.other_images import other_images
from recipes.quality_fit import conformal_shift, fit
from recipes.quality_report import report
from recipes.quality_rows import UNDAMAGED, WRONG, Rows, concatenate, corrupted, left_out, load, wrong
from recipes.segmented import Segmenter

_COPIES = 1
_CONFIGS = {False: "model.json", True: "open.json"}


def main(arguments: list[str] | None = None) -> None:
    """Fit, print how well the estimate does on sources left out of the fit, and write the weights."""
    options = parser("recipes.quality", "Fit the estimate of a segmentation's quality.")
    add_trial(options)
    options.add_argument("--weights", default="shipped", help="shipped (default), a file, or a run's folder")
    options.add_argument(
        "--left-out",
        action="append",
        default=[],
        metavar="SOURCE=WEIGHTS",
        help="a network that was trained without a source; may be repeated",
    )
    options.add_argument("--open", action="store_true", help="use freely licensed data only")
    options.add_argument(
        "--rows", type=Path, help="file (.npz) that keeps the results, or has them from an earlier fit"
    )
    options.add_argument("--output", type=Path, help="the weight file (default: quality.pt or quality_open.pt)")
    options = options.parse_args(arguments)
    output = options.output or bundle_root() / "models" / ("quality_open.pt" if options.open else "quality.pt")
    if options.rows and options.rows.is_file():
        rows = load(options.rows)
    else:
        for name in ("quality.pt", "quality_open.pt"):
            _make_place(bundle_root() / "models" / name)
        rows = _results(options)
        if options.rows:
            rows.save(options.rows)
    network = _fit_and_measure(rows)
    if not options.trial:
        save_checkpoint(network.state_dict(), output)


def _fit_and_measure(rows: Rows) -> QualityNetwork:
    """Print the measurements of each source, and return the network that is fitted to all of them.

    The bound of the network that measures a source is moved by sources that are neither that one nor fitted.
    """
    sources = sorted(set(rows.source[rows.kind != WRONG]))
    own = {name: rows.where(_own(rows, name)) for name in sources}
    without = {frozenset(pair): fit(rows.where(~np.isin(rows.source, pair))) for pair in combinations(sources, 2)}
    fitted: dict[str, QualityNetwork] = {}
    for name in sources:
        fitted[name] = fit(rows.where(rows.source != name))
        others = [other for other in sources if other != name]
        shift = conformal_shift([(without[frozenset((name, other))], own[other]) for other in others])
        fitted[name].shift.fill_(shift)
    report(rows, fitted)
    network = fit(rows)
    network.shift.fill_(conformal_shift([(fitted[name], own[name]) for name in sources]))
    return network


def _own(rows: Rows, source: str) -> np.ndarray:
    """The undamaged results of a source: of a network that did not see it, if there are any."""
    chosen = (rows.source == source) & (rows.kind == UNDAMAGED)
    return chosen & rows.left_out if (chosen & rows.left_out).any() else chosen


def _results(options) -> Rows:
    from lungseg.data import datalist

    if not options.data:
        raise UsageError("no data set was named", remedy="give --data DIR or set LUNGSEG_DATA", code="data-not-named")
    config = Path(__file__).with_name(_CONFIGS[options.open])
    sources = json.loads(config.read_text(encoding="utf-8"))["data_source#sources"]
    listed = {section: datalist(options.data, section, sources=sources) for section in ("train", "validation")}
    if options.trial:
        listed = {section: cases[:: max(1, len(cases) // 10)] for section, cases in listed.items()}
    segment = Segmenter(options.weights)
    parts = [corrupted(segment, listed["validation"], _COPIES)]
    parts.append(wrong(segment, other_images(False)))
    if not options.open:
        parts.append(wrong(segment, _other_views(Path(options.data))))
    for given in options.left_out:
        source, _, weights = given.partition("=")
        cases = [case for section in listed.values() for case in section if case["set"] == source]
        if not cases:
            known = sorted({case["set"] for case in listed["train"]})
            what = f"there is no source called {source!r}"
            raise UsageError(what, remedy=f"use {', '.join(known)}", code="source-unknown")
        parts.append(left_out(Segmenter(weights), cases))
    return concatenate(parts)


def _other_views(data: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (source, name, pixels) of the laterals and CT slices of the wards' training and validation lists."""
    from lungseg.io import read_radiograph

    with (data / "wards" / "other.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] != "test":
                (path,) = (data / "wards" / "other").glob(f"{row['name']}.*")
                yield row["kind"], row["name"], read_radiograph(path).pixels


def _make_place(file: Path) -> None:
    """Replace weights that are missing or no longer fit the features by random ones: a bundle is loaded as a whole."""
    try:
        load_weights_into(QualityNetwork(), file)
    except LungsegError:
        save_checkpoint(QualityNetwork().state_dict(), file)


if __name__ == "__main__":
    sys.exit(run(main))
