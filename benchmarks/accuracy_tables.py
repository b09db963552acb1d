# SPDX-License-Identifier: Apache-2.0
"""The figures of `benchmarks.accuracy` as Markdown."""

from __future__ import annotations

from benchmarks.tables import NOT_MEASURED, markdown_table
from lungseg.metrics.agreement import METRICS
from lungseg.report.text import format_value, summary_cells

TRAINED_ON = {"both": "all sources", "montgomery": "Montgomery", "shenzhen": "Shenzhen"}
LOW_DICE = 0.8
_SETS = {"montgomery": "Montgomery", "shenzhen": "Shenzhen"}
_SHOWN = ("dice", "iou", "dice_right", "dice_left", "hd95_px", "assd_px")
# (trained on, tested on) -> Dice of deepdraw's U-Net, with the same lists (Gaal et al. 2020, arXiv 2003.10304).
PUBLISHED = {
    ("montgomery", "shenzhen"): 0.942,
    ("shenzhen", "montgomery"): 0.963,
    ("montgomery", "montgomery"): 0.982,
    ("shenzhen", "shenzhen"): 0.952,
    ("both", "montgomery"): None,
    ("both", "shenzhen"): None,
}


def tables(entries: list[dict], explanations: dict[str, str]) -> dict[str, str]:
    """Return name -> Markdown of every table about accuracy.

    Args:
        entries: the results of `benchmarks.accuracy.measure`.
        explanations: name of a test image under `LOW_DICE` -> why, as seen by eye.
    """
    found = {(entry["section"], entry["trained_on"], entry["set"]): entry for entry in entries}
    return {
        "accuracy": _accuracy(found, "test"),
        "accuracy-validation": _accuracy(found, "validation"),
        "cross-hospital": _cross_hospital(found),
        "low-dice": _low_dice(found, explanations),
    }


def _accuracy(found: dict, section: str) -> str:
    """Figures of the shipped weights on a section of each set."""
    entries = [found[key] for name in _SETS if (key := (section, "both", name)) in found]
    if not entries:
        return NOT_MEASURED
    header = ["List", "Figure", "n", "Mean", "95 % interval", "Median", "5th percentile", "Worst"]
    rows = []
    for entry in entries:
        for key in _SHOWN:
            title, *cells = summary_cells(key, entry["metrics"][key])
            # The last cell names the worst case.
            rows.append([_SETS[entry["set"]], title, *cells[:-1]])
    note = (
        f"Weights {_weights(entries)}. Per image, at the file's own size; n: images that have the figure. Interval: "
        "bootstrap of the mean over images. For distances (in pixels) it is the 95th percentile, the bad end."
    )
    return f"{markdown_table(header, rows, text_columns=(0, 1))}\n\n{note}"


def _weights(entries: list[dict]) -> str:
    return " and ".join(f"`{digest[:12]}`" for digest in dict.fromkeys(entry["weights_sha256"] for entry in entries))


def _cross_hospital(found: dict) -> str:
    """Dice of weights trained on one set on the test list of another, beside the published one."""
    header = ["Trained on", "Tested on", "n", "Dice", "95 % interval", "IoU", "HD95 (px)", "Published Dice"]
    rows = []
    for (trained_on, name), published in PUBLISHED.items():
        entry = found.get(("test", trained_on, name))
        cells = [""] * 5 if entry is None else _cells(entry)
        rows.append([TRAINED_ON[trained_on], _SETS[name], *cells, "" if published is None else f"{published:.3f}"])
    return markdown_table(header, rows, text_columns=(0, 1))


def _cells(entry: dict) -> list[str]:
    metrics = entry["metrics"]
    low, high = (format_value("dice", metrics["dice"][end]) for end in ("ci_low", "ci_high"))
    dice, iou, hd95 = (format_value(key, metrics[key]["mean"]) for key in ("dice", "iou", "hd95_px"))
    return [str(entry["n"]), dice, f"{low} to {high}", iou, hd95]


def _low_dice(found: dict, explanations: dict[str, str]) -> str:
    """The test images that the shipped weights do worst on, and why."""
    entries = [found[key] for name in _SETS if (key := ("test", "both", name)) in found]
    if not entries:
        return NOT_MEASURED
    images = sorted((image for entry in entries for image in entry["low"]), key=lambda image: image["dice"])
    if not images:
        return f"No test image is under {METRICS['dice'].split(',')[0]} {LOW_DICE:.2f}."
    rows = [[image["name"], f"{image['dice']:.4f}", explanations.get(image["name"], "")] for image in images]
    return markdown_table(["Image", "Dice", "Seen by eye"], rows, text_columns=(0, 2))
