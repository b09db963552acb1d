# SPDX-License-Identifier: Apache-2.0
"""The tables about other ways to segment a folder."""

from __future__ import annotations

from benchmarks.peers.ways import WAYS, pspnet
from benchmarks.tables import NOT_MEASURED, markdown_table

_FIGURES = ("Files", "Images per second", "Start and end left out", "First mask after", "Peak memory", "Dice")
_WORK = (
    "The network sees",
    "Mask",
    "Recognises wrong pictures, estimates quality",
    "Writes besides",
    "A damaged file",
    "Files for each radiograph",
)


def tables(numbers: dict | None) -> dict[str, str]:
    """Return name -> Markdown: the speeds, and what each way does meanwhile."""
    if not numbers:
        return dict.fromkeys(("peers", "peers-work"), NOT_MEASURED)
    return {"peers": _speed_table(numbers), "peers-work": _work_table(numbers["measured"])}


def _speed_table(numbers: dict) -> str:
    sides = dict.fromkeys(one["side"] for one in numbers["measured"])
    parts = []
    for side in sides:
        rows = [_figures(one) for one in numbers["measured"] if one["side"] == side]
        parts.append(markdown_table([f"{side} x {side} pixels", *_FIGURES], rows))
    version = numbers["torchxrayvision"]
    notes = (
        f"{numbers['machine']}; computed on: {numbers['device']}. Rounds, all ways in turn: {numbers['rounds']}, the "
        "median counts. Each way has its default threads. Memory: the proportional sets of all its processes together. "
        "Dice: mean of its masks with those of the first row.",
        f"TorchXRayVision {version} has an environment of its own."
        if version
        else "TorchXRayVision was not measured: `--torchxrayvision` names the Python of an environment that has it.",
    )
    return "\n\n".join((*parts, " ".join(notes)))


def _figures(one: dict) -> list[str]:
    return [
        one["way"],
        str(one["count"]),
        _speed(one["count"] / one["seconds"]),
        _speed(1 / one["per_image"]),
        f"{one['first']:.1f} s",
        f"{one['peak_bytes'] / 2**20:.0f} MiB",
        "" if one["dice"] is None else f"{one['dice']:.3f}",
    ]


def _speed(value: float) -> str:
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _work_table(measured: list[dict]) -> str:
    files = {one["way"]: one["files"] for one in measured}
    rows = [
        [way.name, way.sees, way.mask, way.quality, way.writes, way.damaged, f"{files[way.name]:.0f}"]
        for way in (*WAYS, pspnet(""))
        if way.name in files
    ]
    return markdown_table(["", *_WORK], rows, text_columns=range(len(_WORK)))
