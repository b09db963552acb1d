# SPDX-License-Identifier: Apache-2.0
"""Results in the forms with which people continue: crops, and outlines for annotation tools."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from field_kind import Kind
from PIL import Image

from lungseg.data import phantom


def _saving(kinds: str) -> Callable[[Path], Sequence[object]]:
    def make(folder: Path) -> Sequence[object]:
        (folder / "in" / "patient").mkdir(parents=True)
        Image.fromarray(phantom(3, (320, 256))[0]).save(folder / "in" / "patient" / "chest.png")
        Image.fromarray(np.zeros((96, 96), np.uint8)).save(folder / "in" / "black.png")
        return "predict", "in", "-o", "out", "--save", kinds

    return make


def _rows(folder: Path) -> list[dict]:
    return json.loads((folder / "out" / "report.json").read_text())["files"]


def _check_crop(folder: Path) -> None:
    black, chest = _rows(folder)
    assert "crop was not written" in black["reason"]
    with Image.open(folder / "out" / "crop" / "patient" / "chest.png") as crop, Image.open(chest["file"]) as whole:
        x, y, width, height = (chest[f"crop_{key}"] for key in "xywh")
        assert np.array_equal(crop, whole.crop((x, y, x + width, y + height)))
        assert width < whole.width


def _check_coco(folder: Path) -> None:
    found = json.loads((folder / "out" / "annotations.coco.json").read_text())
    assert [image["file_name"] for image in found["images"]] == ["black.png", "patient/chest.png"]
    assert [one["name"] for one in found["categories"]] == ["right lung", "left lung"]
    assert {(one["image_id"], one["category_id"]) for one in found["annotations"]} == {(2, 1), (2, 2)}


def _check_labelme(folder: Path) -> None:
    file = folder / "out" / "labelme" / "patient" / "chest.json"
    found = json.loads(file.read_text())
    assert (file.parent / found["imagePath"]).samefile(folder / "in" / "patient" / "chest.png")
    assert {shape["label"] for shape in found["shapes"]} == {"right lung", "left lung"}


def _check_zones(folder: Path) -> None:
    _, chest = _rows(folder)
    for side in ("right", "left"):
        zones = [f"{side}_{zone}" for zone in ("upper", "middle", "lower")]
        assert sum(chest[f"{zone}_px"] for zone in zones) == chest[f"{side}_px"]
        assert all(0 < chest[f"{zone}_mean"] < 255 for zone in zones)


KINDS: list[Kind] = [
    Kind(
        "crop for a classifier",
        _saving("crop"),
        "the lungs with a margin, and where they lie; no crop without lungs",
        check=_check_crop,
    ),
    Kind("outlines as COCO", _saving("coco"), "one COCO file of the run, which pycocotools reads", check=_check_coco),
    Kind("outlines as LabelMe", _saving("labelme"), "a file that LabelMe opens, for each", check=_check_labelme),
    Kind("six zones", _saving("masks"), "area and mean grey value of each zone in the report", check=_check_zones),
]
