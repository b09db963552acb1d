# SPDX-License-Identifier: Apache-2.0
"""Folders of images and masks as public data sets, other programs and people have them: each a tiny copy."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from field_kind import FIELD, Kind
from PIL import Image

from lungseg.data import phantom

_SIDE = 96
_JSRT_SIDE = 2048


def image(seed: int) -> Image.Image:
    """Return the image of a phantom."""
    return Image.fromarray(phantom(seed, (_SIDE, _SIDE))[0])


def labels(seed: int) -> np.ndarray:
    """Return its labels: 1 right, 2 left."""
    return phantom(seed, (_SIDE, _SIDE))[1]


def mask(seed: int, *of: int, size: int = _SIDE) -> Image.Image:
    """Return the mask of some of its labels, of any size."""
    chosen = np.isin(labels(seed), of or (1, 2)).astype(np.uint8) * 255
    return Image.fromarray(chosen).resize((size, size), Image.Resampling.NEAREST)


def put(picture: Image.Image, *parts: str) -> None:
    """Write a picture to a path below the current folder."""
    path = Path(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def pairs(images: str, masks: str, count: int = 3) -> Callable[[Path], Sequence[object]]:
    """Return a maker of files by two patterns with {} for a number."""

    def make(_: Path) -> Sequence[object]:
        for number in range(1, count + 1):
            put(image(number), "data", images.format(number))
            put(mask(number), "data", masks.format(number))
        return check("data")

    return make


def check(*arguments: str) -> list[str]:
    """Return the arguments of `lungseg check-data`."""
    return ["check-data", *arguments]


def counts(number: int) -> list[str]:
    """Return what is said of so many images that all have a mask that can be used."""
    return [rf"\b{number} pairs", r"\b0 images without a mask", r"\b0 masks without an image", r"\b0 problems"]


def make_field(name: str) -> Callable[[Path], Sequence[object]]:
    """Return a maker that only names a folder of the small real inputs."""

    def make(_: Path) -> Sequence[object]:
        assert FIELD is not None
        return check(str(FIELD / name))

    return make


def make_other_size(_: Path) -> Sequence[object]:
    for number in (1, 2, 3):
        put(image(number), "data/images", f"{number}.png")
        put(mask(number, size=82), "data/masks", f"{number}.png")
    return check("data")


def make_other_aspect(_: Path) -> Sequence[object]:
    make_other_size(Path())
    put(mask(1).resize((96, 60)), "data/masks/1.png")
    return check("data")


def make_nnunet(_: Path) -> Sequence[object]:
    """Write a whole data set of nnU-Net, whose label maps have 1 for the left lung and 2 for the right one."""
    for number in (1, 2, 3):
        put(image(number), "nnUNet_raw/Dataset042_Chest/imagesTr", f"case_{number:03}_0000.png")
        swapped = np.array([0, 2, 1, 3], np.uint8)[labels(number)]
        put(Image.fromarray(swapped), "nnUNet_raw/Dataset042_Chest/labelsTr", f"case_{number:03}.png")
    put(image(9), "nnUNet_raw/Dataset042_Chest/imagesTs/case_009_0000.png")
    stated = {
        "channel_names": {"0": "xray"},
        "labels": {"background": 0, "left lung": 1, "right lung": 2},
        "numTraining": 3,
        "file_ending": ".png",
    }
    Path("nnUNet_raw/Dataset042_Chest/dataset.json").write_text(json.dumps(stated), encoding="utf-8")
    return check("nnUNet_raw")


def make_jsrt(raw: bool) -> Callable[[Path], Sequence[object]]:
    """Return a maker of JSRT with the masks of the SCR database, images as raw .IMG files or as PNG."""

    def make(_: Path) -> Sequence[object]:
        for number, fold in ((1, 1), (2, 2)):
            name = f"JPCLN{number:03}"
            if raw:
                shown = np.asarray(image(number).resize((_JSRT_SIDE, _JSRT_SIDE))).astype(np.uint16)
                Path("jsrt/All247images").mkdir(parents=True, exist_ok=True)
                Path(f"jsrt/All247images/{name}.IMG").write_bytes((4095 - shown * 16).astype(">u2").tobytes())
            else:
                put(image(number), "jsrt/All247images", f"{name}.png")
            parts = {"right lung": (1,), "left lung": (2,), "heart": (3,), "left clavicle": (4,)}
            for part, of in parts.items():
                put(mask(number, *of, size=48), f"jsrt/scratch/fold{fold}/masks/{part}/{name}.gif")
        return check("jsrt")

    return make


def make_radiography_database(_: Path) -> Sequence[object]:
    for first, folder in enumerate(("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")):
        for number in (1, 2):
            seed = 2 * first + number
            put(image(seed), f"data/COVID-19_Radiography_Dataset/{folder}/images/{folder}-{number}.png")
            put(
                mask(seed, size=82).convert("RGB"),
                f"data/COVID-19_Radiography_Dataset/{folder}/masks/{folder}-{number}.png",
            )
    return check("data")


def make_covid_qu_ex(_: Path) -> Sequence[object]:
    whole, infection = (f"data/{name}/{name}" for name in ("Lung Segmentation Data", "Infection Segmentation Data"))
    seed = 0
    for section in ("Train", "Val", "Test"):
        for folder, stem in (("COVID-19", "covid_"), ("Non-COVID", "non_COVID ("), ("Normal", "Normal (")):
            seed += 1
            name = f"{stem}{seed}{')' if '(' in stem else ''}.png"
            for root in (whole, infection):
                put(image(seed), root, section, folder, "images", name)
                put(mask(seed), root, section, folder, "lung masks", name)
            put(mask(seed, 1), infection, section, folder, "infection masks", name)
    return check("data")


def make_montgomery(_: Path) -> Sequence[object]:
    for number in (1, 2):
        name = f"MCUCXR_{number:04}_0.png"
        put(image(number), "data/MontgomerySet/CXR_png", name)
        put(mask(number, 2), "data/MontgomerySet/ManualMask/leftMask", name)
        put(mask(number, 1), "data/MontgomerySet/ManualMask/rightMask", name)
    return check("data")


def make_two_by_option(_: Path) -> Sequence[object]:
    pairs("xrays/P{}-pa.png", "drawn/by-kd-P{}.png")(Path())
    return check("--images", "data/xrays", "--masks", "data/drawn", "--image-suffix=-pa", "--mask-prefix", "by-kd-")


KINDS: list[Kind] = [
    Kind(
        "masks of another size",
        make_other_size,
        "used, and one line says so",
        said=[*counts(3), "3 masks have another"],
    ),
    Kind(
        "masks of another aspect ratio",
        make_other_aspect,
        "the one is refused with both sizes, the others are used",
        said=[r"size-mismatch: the mask has 96 x 60 pixels, the image 96 x 96", "2 masks have another size"],
    ),
    Kind(
        "other_size", make_field("other_size"), "used, and one line says so", said=["3 masks have another"], real=True
    ),
    Kind("nnunet", make_field("nnunet"), "three pairs", said=counts(3), real=True),
    Kind("data set of nnU-Net", make_nnunet, "its labels are read", said=[*counts(3), "left=1,right=2"]),
    Kind("prefixes in two folders", pairs("images/img_{}.png", "masks/mask_{}.png"), "three pairs", said=counts(3)),
    Kind("prefixes in one folder", pairs("img_{}.png", "mask_{}.png"), "three pairs", said=counts(3)),
    Kind("suffixes in one folder", pairs("p{}_image.png", "p{}_mask.png"), "three pairs", said=counts(3)),
    Kind("images beside a folder of masks", pairs("{}.png", "Masks/{}.png"), "three pairs", said=counts(3)),
    Kind("folders in capitals", pairs("Images/{}.png", "MASKS/{}.png"), "three pairs", said=counts(3)),
    Kind("JSRT as PNG", make_jsrt(raw=False), "two pairs with hearts, clavicles are left out", said=counts(2)),
    Kind("JSRT as raw IMG", make_jsrt(raw=True), "two pairs; the raw images are read", said=counts(2)),
    Kind(
        "COVID-19 Radiography Database",
        make_radiography_database,
        "a folder a class, taken together",
        said=[*counts(8), "COVID, Lung_Opacity, Normal, Viral Pneumonia", "8 masks have another size"],
    ),
    Kind("COVID-QU-Ex", make_covid_qu_ex, "the lung masks of all sections, each once", said=counts(9)),
    Kind("Montgomery of the NLM", make_montgomery, "two pairs of a mask for each lung", said=counts(2)),
    Kind("prefix and suffix by option", make_two_by_option, "three pairs", said=counts(3)),
]
