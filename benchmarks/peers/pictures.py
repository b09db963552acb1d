# SPDX-License-Identifier: Apache-2.0
"""The radiographs that all ways segment: public ones, each different, resized to one size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from lungseg.utils.errors import UsageError

_FOLDER = "CXR_png"


def choose(data: str | Path, count: int) -> list[Path]:
    """Return `count` PNG files of a data set, spread over its hospitals.

    Raises:
        UsageError: there are fewer.
    """
    files = sorted(Path(data, _FOLDER).glob("*.png"))
    if len(files) < count:
        what = f"{len(files)} of {count} PNG files are in {_FOLDER}"
        raise UsageError(what, data, "name the public collection", code="too-few-radiographs")
    return [files[number * len(files) // count] for number in range(count)]


def write(sources: Sequence[Path], folder: Path, side: int) -> None:
    """Write each radiograph as a grey 8-bit PNG of side x side pixels."""
    folder.mkdir(parents=True)

    def write_one(source: Path) -> None:
        with Image.open(source) as picture:
            grey = picture.convert("L").resize((side, side), Image.Resampling.BICUBIC)
        grey.save(folder / source.name, compress_level=1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write_one, sources))


def part(folder: Path, count: int) -> Path:
    """Return a folder with links to `count` of the files in `folder`, spread over them; `folder` if that is all."""
    files = sorted(folder.iterdir())
    if count >= len(files):
        return folder
    found = folder.with_name(f"{folder.name}-{count}")
    if not found.exists():
        found.mkdir()
        for number in range(count):
            file = files[number * len(files) // count]
            os.link(file, found / file.name)
    return found
