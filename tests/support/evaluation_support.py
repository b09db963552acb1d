# SPDX-License-Identifier: Apache-2.0
"""Evaluations of small label maps."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from lungseg.metrics.agreement import case_metrics
from lungseg.report import write_evaluation
from lungseg.report.evaluation import picture_file
from lungseg.report.outlines import find_outlines
from lungseg.report.thumbnails import encode_thumbnail

HEIGHT, WIDTH = 48, 64


def reference_map():
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[8:40, 8:26] = 1
    labels[10:36, 38:56] = 2
    return labels


def cases(count, spacing=None):
    """Cases that are the worse the higher their number; every second one has a spacing if none is given."""
    reference = reference_map()
    for number in range(count):
        pred = np.roll(reference, number, axis=0)
        known = spacing or ((0.1, 0.1) if number % 2 else None)
        name = f"<MCUCXR_{number:04d}>"
        row = {"name": name, "set": "montgomery" if number % 2 else "other", "file": f"folder/{name}.png"}
        yield row | case_metrics(pred, reference, known), pred, reference


def write_pictured(folder, count, spacing=None, **facts):
    """Write the evaluation of such cases, each with its picture; return its rows and its summary."""
    image = np.linspace(0, 4095, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    rows, pictures = [], {}
    for row, pred, reference in cases(count, spacing):
        file = picture_file(folder, row["name"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode_thumbnail(image))
        labels = {"prediction": pred, "reference": reference}
        pictures[row["name"]] = {name: asdict(find_outlines(values)) for name, values in labels.items()}
        rows.append(row)
    return rows, write_evaluation(rows, folder, pictures, **facts)
