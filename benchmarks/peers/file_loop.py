# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.peers.file_loop INPUTS OUTPUT`: the loop that a script around a model usually has."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

import lungseg


def segment(inputs: Path, output: Path) -> None:
    """Write a mask of 0 and 255 for each PNG file of a folder, or for one file, into `output`/masks."""
    masks = output / "masks"
    masks.mkdir(parents=True, exist_ok=True)
    model = lungseg.load()
    for path in [inputs] if inputs.is_file() else sorted(inputs.glob("*.png")):
        Image.fromarray(model.predict(path).mask).save(masks / path.name)


if __name__ == "__main__":
    segment(*map(Path, sys.argv[1:]))
