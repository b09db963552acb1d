# SPDX-License-Identifier: Apache-2.0
"""Annotations that are not mask pictures: run lengths in a CSV file, COCO and LabelMe."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from field_kind import Kind
from PIL import Image
from skimage.measure import find_contours

from lungseg.data.phantoms import phantom

_SIZE = (180, 140)
Labels = dict[str, np.ndarray]


def images(folder: Path, count: int = 2) -> Labels:
    """Write the radiographs, and return the label map 0/1/2 of each."""
    (folder / "images").mkdir()
    labels = {}
    for seed, name in enumerate(f"p{number}" for number in range(count)):
        image, labels[name] = phantom(seed, _SIZE)
        Image.fromarray(image).save(folder / "images" / f"{name}.png")
    return labels


def runs(mask: np.ndarray) -> np.ndarray:
    """Return (N, 2): start, from 1, and length of the runs of a mask whose pixels follow each other."""
    changes = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return np.stack([changes[::2] + 1, changes[1::2] - changes[::2]], axis=1)


def text(pairs: np.ndarray) -> str:
    """Return pairs as a CSV file has them."""
    return " ".join(str(number) for number in pairs.ravel())


def relative(pairs: np.ndarray) -> np.ndarray:
    """Return pairs whose starts count from the end of the last run, as SIIM writes them."""
    starts = pairs[:, 0] - 1
    before = np.concatenate([[0], (starts + pairs[:, 1])[:-1]])
    return np.stack([starts - before, pairs[:, 1]], axis=1)


def table(folder: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a CSV file."""
    with (folder / "masks.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return "masks.csv"


def chexmask(folder: Path, labels: Labels) -> str:
    """A row for each image, with landmarks over several lines, and images that are not there."""
    header = ("image_id", "Dice RCA (Mean)", "Landmarks", "Left Lung", "Right Lung", "Heart", "Height", "Width")
    rows = [(f"absent{number}", 0.8, "[[1 2]\n [3 4]]", "1 3", "9 2", "20 2", 140, 180) for number in range(3)]
    for name, one in labels.items():
        left, right = (text(runs((one == side).ravel())) for side in (2, 1))
        rows.insert(1, (name, 0.9, "[[1 2]\n [3 4]]", left, right, text(runs((one == 0).ravel())[:9]), *one.shape))
    return table(folder, header, rows)


def kaggle(folder: Path, labels: Labels) -> str:
    """A row for each lung, along the columns, without sizes; -1 where there is nothing."""
    rows = [(f"{name}.png", text(runs((one == side).T.ravel()))) for name, one in labels.items() for side in (1, 2)]
    return table(folder, ("ImageId", "EncodedPixels"), [("absent", "-1"), *rows, ("p0.png", "-1")])


def classes(folder: Path, labels: Labels) -> str:
    """A row for each class, whose name says which lung it is."""
    names = ((1, "right_lung"), (2, "left_lung"))
    rows = [
        (name, called, text(runs((one == side).T.ravel()))) for name, one in labels.items() for side, called in names
    ]
    return table(folder, ("image", "class", "rle"), rows)


def siim(folder: Path, labels: Labels) -> str:
    """Relative starts, and a blank before the name of the column."""
    rows = [(name, f" {text(relative(runs((one > 0).T.ravel())))}") for name, one in labels.items()]
    return table(folder, ("ImageId", " EncodedPixels"), rows)


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Return the outlines of a mask, each (N, 2) of x and y."""
    return [corners[:, ::-1] - 0.5 for corners in find_contours(np.pad(mask, 1).astype(float), 0.5)]


def polygons(mask: np.ndarray) -> object:
    """COCO's outlines."""
    return [corners.ravel().tolist() for corners in outlines(mask)]


def counts(mask: np.ndarray) -> dict[str, object]:
    """COCO's run lengths as a list."""
    changes = np.flatnonzero(np.diff(mask.T.ravel().astype(int))) + 1
    return {
        "size": list(mask.shape),
        "counts": np.diff(np.concatenate([[0], changes, [mask.size]])).tolist(),
    }


def compressed(mask: np.ndarray) -> dict[str, object]:
    """COCO's run lengths as text."""
    numbers = counts(mask)["counts"]
    written = ""
    for place, number in enumerate(numbers):
        value, more = number - (numbers[place - 2] if place > 2 else 0), True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            written += chr(48 + (bits | 32 * more))
    return {"size": list(mask.shape), "counts": written}


def coco(draw: Callable[[np.ndarray], object], *categories: str, folders: str = "train/") -> Callable[..., str]:
    """COCO's document; a single category is for both lungs."""

    def write(folder: Path, labels: Labels) -> str:
        document: dict[str, list] = {
            "images": [],
            "annotations": [],
            "categories": [{"id": number, "name": name} for number, name in enumerate(categories, start=1)],
        }
        for number, (name, one) in enumerate(labels.items()):
            entry = {"id": number, "file_name": f"{folders}{name}.jpg", "height": one.shape[0], "width": one.shape[1]}
            document["images"].append(entry)
            for side in (1, 2):
                shape = {"segmentation": draw(one == side)} if draw else {}
                category = min(side, len(categories))
                annotation = {"id": 10 * number + side, "image_id": number, "category_id": category, "bbox": [0] * 4}
                document["annotations"].append(annotation | shape)
        (folder / "masks.json").write_text(json.dumps(document))
        return "masks.json"

    return write


def labelme(beside: bool) -> Callable[..., str]:
    """A file for each image, in a folder of its own or beside the images: a polygon and an embedded mask."""

    def write(folder: Path, labels: Labels) -> str:
        place = folder / ("images" if beside else "drawn")
        place.mkdir(exist_ok=True)
        for name, one in labels.items():
            shapes = [
                {"label": "Left_Lung", "shape_type": "polygon", "points": corners.tolist()}
                for corners in outlines(one == 2)
            ]
            (rows, columns), packed = np.nonzero(one == 1), BytesIO()
            area = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
            Image.fromarray((one == 1)[area]).save(packed, "PNG")
            corners = [[int(columns.min()), int(rows.min())], [int(columns.max()), int(rows.max())]]
            mask = {"mask": base64.b64encode(packed.getvalue()).decode(), "points": corners}
            shapes.append({"label": "rightLung", "shape_type": "mask"} | mask)
            document = {"version": "5.4", "shapes": shapes, "imagePath": f"..\\images\\{name}.png", "imageData": None}
            size = {"imageHeight": one.shape[0], "imageWidth": one.shape[1]}
            (place / f"{name}.json").write_text(json.dumps(document | size))
        return place.name

    return write


def given(write: Callable[[Path, Labels], str], *options: object) -> Callable[[Path], Sequence[object]]:
    """Return a maker of images with annotations, for check-data."""

    def make(folder: Path) -> Sequence[object]:
        masks = write(folder, images(folder))
        return ("check-data", "--images", "images", "--masks", masks, "-o", "sheet.png", *options)

    return make


def damaged(name: str, content: str) -> Callable[[Path, Labels], str]:
    """A file that is not what its name says."""

    def write(folder: Path, labels: Labels) -> str:
        (folder / name).write_text(content)
        return name

    return write


_GOOD = (r"\b2 images", r"\b2 pairs", r"\b0 problems")
_SIDES = ("Right Lung", "left-lung")

KINDS: list[Kind] = [
    Kind("CheXmask CSV", given(chexmask), "each lung is read", said=_GOOD),
    Kind("run lengths as Kaggle writes them", given(kaggle), "the rows of an image are one mask", said=_GOOD),
    Kind("run lengths with classes", given(classes), "the classes say which lung it is", said=_GOOD),
    Kind("run lengths as SIIM writes them", given(siim), "relative starts are recognised", said=_GOOD),
    Kind("COCO polygons", given(coco(polygons, *_SIDES)), "each lung is read", said=_GOOD),
    Kind("COCO run lengths", given(coco(counts, *_SIDES)), "each lung is read", said=_GOOD),
    Kind("COCO compressed run lengths", given(coco(compressed, *_SIDES)), "each lung is read", said=_GOOD),
    Kind("COCO with one category", given(coco(polygons, "Lungs")), "the sides are found", said=_GOOD),
    Kind(
        "COCO with unknown categories",
        given(coco(polygons, "a", "b")),
        "refused, with the categories and the option",
        1,
        (r"\(a, b\)", "--labels 'right=NAME,left=NAME'"),
    ),
    Kind(
        "COCO with categories that --labels states",
        given(coco(polygons, "a", "b"), "--labels", "right=a,left=b"),
        "they are read as stated",
        said=_GOOD,
    ),
    Kind(
        "COCO with right and left exchanged",
        given(coco(polygons, "left lung", "right lung")),
        "one line for the whole data set says so",
        said=("exchanged in 2 of the 2 masks; give --labels 'right=left lung,left=right lung'",),
    ),
    Kind(
        "COCO with boxes only",
        given(coco(None, *_SIDES)),
        "refused, with what helps",
        1,
        ("boxes only", "polygons or masks"),
    ),
    Kind("LabelMe in a folder", given(labelme(beside=False)), "each lung is read", said=_GOOD),
    Kind("LabelMe beside the images", given(labelme(beside=True)), "each lung is read", said=_GOOD),
    Kind(
        "JSON that is cut off",
        given(damaged("masks.json", '{"images": [')),
        "refused by name",
        1,
        ("masks.json: the annotations cannot be read",),
    ),
    Kind(
        "a table without run lengths",
        given(damaged("masks.csv", "image,age\np0,7\n")),
        "refused, with the names of columns that are read",
        1,
        ("no column of run lengths", "Right Lung"),
    ),
    Kind(
        "masks in a file of another kind",
        given(damaged("masks.txt", "p0 1 2")),
        "refused as wrong use, with the kinds that are read",
        2,
        ("COCO or LabelMe", "CSV"),
    ),
]
