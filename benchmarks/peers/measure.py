# SPDX-License-Identifier: Apache-2.0
"""Run every way on the same folders, in turns."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import record
from benchmarks.machine import describe, describe_device
from benchmarks.peers import pictures
from benchmarks.peers.table import tables
from benchmarks.peers.watch import Watched, watch
from benchmarks.peers.ways import SIDES, WAYS, Way, pspnet, torchxrayvision_version
from benchmarks.predict import in_a_process
from recipes.command import add_trial, data_folder, parser

ROUNDS = 2
_IN_A_TRIAL = 4
# Masks of a way that are compared with those of the first way.
_COMPARED = 12


def main(arguments: list[str] | None = None) -> None:
    """Measure, except with `--tables-only`, and rewrite the tables."""
    options = parser("benchmarks.peers", "Segment folders with lungseg predict and in other ways, in turns.")
    add_trial(options)
    options.add_argument(
        "--torchxrayvision",
        metavar="PYTHON",
        help="the Python of an environment that has torchxrayvision, to measure its PSPNet too",
    )
    options = options.parse_args(arguments)
    if options.tables_only:
        record.publish(tables(record.load("peers", None)))
        return
    ways, version = list(WAYS), None
    if options.torchxrayvision:
        version = torchxrayvision_version(options.torchxrayvision)
        ways.append(pspnet(options.torchxrayvision))
    if options.trial:
        ways = [way._replace(files=(min(_IN_A_TRIAL, way.files[0]),)) for way in ways]
    numbers = measure(ways, data_folder(options), SIDES, rounds=1 if options.trial else ROUNDS)
    numbers["torchxrayvision"] = version
    if options.trial:
        record.show(tables(numbers))
        return
    record.save("peers", numbers)
    record.publish(tables(numbers))


def measure(ways: Sequence[Way], data: str | Path, sides: Sequence[int], rounds: int) -> dict:
    """Segment the folders.

    This process imports no PyTorch, whose pages it would share with the processes that it measures.

    Args:
        ways: in their order; those that have no number of files for a side are left out there.
        data: the public collection.
        sides: of the pictures, in pixels.
        rounds: how often each way is measured, all ways in turn; the median counts.

    Returns:
        {"machine", "device", "rounds", "measured": [{"side", "way", "count": files that were segmented, "dice": of its
        masks with those of the first way, or None, and the fields of `Watched`}]}.
    """
    numbers = {
        "machine": in_a_process(describe),
        "device": in_a_process(describe_device),
        "rounds": rounds,
        "measured": [],
    }
    for place, side in enumerate(sides):
        counts = {way: way.files[place] for way in ways if len(way.files) > place}
        if not counts:
            continue
        with tempfile.TemporaryDirectory() as folder:
            inputs = Path(folder) / str(side)
            pictures.write(pictures.choose(data, max(counts.values())), inputs, side)
            found: dict[Way, list[Watched]] = {way: [] for way in counts}
            for turn in range(rounds):
                for number, (way, measured) in enumerate(found.items()):
                    print(f"{counts[way]} files of {side} x {side} pixels, {way.name}", flush=True)
                    folders = {"inputs": pictures.part(inputs, counts[way]), "output": Path(folder, f"{turn}-{number}")}
                    command = [part.format(**folders) for part in way.command]
                    measured.append(watch(command, folders["output"], counts[way]))
            for number, (way, measured) in enumerate(found.items()):
                fields = {
                    name: statistics.median(values)
                    for name, values in zip(Watched._fields, zip(*measured, strict=True), strict=True)
                }
                dice = (
                    agreement(Path(folder, "0-0"), Path(folder, f"0-{number}")) if way.comparable and number else None
                )
                one = {"side": side, "way": way.name, "count": counts[way], "dice": dice}
                numbers["measured"].append(one | fields)
    return numbers


def agreement(first: Path, other: Path) -> float:
    """Return the mean Dice of some masks in `other` with those of the same names in `first`."""
    found = []
    for file in sorted((other / "masks").iterdir())[:_COMPARED]:
        one, two = (np.asarray(Image.open(path / "masks" / file.name)) > 0 for path in (first, other))
        found.append(2 * np.count_nonzero(one & two) / max(1, np.count_nonzero(one) + np.count_nonzero(two)))
    return statistics.fmean(found)
