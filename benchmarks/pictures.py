# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.pictures`: draw the README's pictures from public radiographs, with Debian's chromium."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from pydicom.data import get_testdata_file
from scipy.ndimage import gaussian_filter

from lungseg.cli.demo import real_radiograph
from lungseg.data.phantoms import phantom
from lungseg.inference.predict import predict
from lungseg.io import read_radiograph, write_png
from lungseg.model.paths import bundle_root
from lungseg.utils.errors import UsageError
from recipes.command import run

_WIDTH, _PAGE = 678, (1180, 1610)


def main(arguments: list[str] | None = None) -> None:
    """Segment the chest of pydicom-data, variants of it, a leg and phantoms; show the first and the report."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description="Draw the README's pictures.")
    options.add_argument("--output", default=bundle_root().parent / "docs" / "images", help="an existing folder")
    shown = Path(options.parse_args(arguments).output).absolute()
    browser, chest, leg = shutil.which("chromium"), real_radiograph(), get_testdata_file("RG3_UNCR.dcm", download=False)
    if not (browser and chest and leg):
        raise UsageError("chromium or pydicom-data is not installed", remedy="install both")
    # The report names the folder as it was given.
    with TemporaryDirectory() as folder, chdir(folder):
        inputs, output = Path("radiographs"), Path("out")
        inputs.mkdir()
        shutil.copyfile(chest, inputs / "chest.dcm")
        # As a picture: its header would say that it is not a chest.
        write_png(inputs / "leg.png", _grey(read_radiograph(leg).pixels))
        for name, pixels in _made_of(read_radiograph(chest).pixels).items():
            write_png(inputs / f"chest_{name}.png", pixels)
        for number in range(1, 4):
            write_png(inputs / f"phantom_{number}.png", phantom(number)[0])
        predict(inputs, output)
        overlay = Image.open(output / "overlays" / "chest.png").convert("RGB")
        height = round(_WIDTH * overlay.height / overlay.width)
        overlay.resize((_WIDTH, height), Image.Resampling.LANCZOS).save(shown / "rg1.jpg", quality=88)
        _photograph((output / "report.html").absolute(), browser, Path(folder)).save(shown / "report.jpg", quality=85)


def _photograph(page: Path, browser: str, folder: Path) -> Image.Image:
    """Return how a page looks in a browser, which may use `folder`."""
    picture = folder / "page.png"
    # A picture that is decoded later is not there in time.
    waiting = page.with_name("waiting.html")
    waiting.write_text(page.read_text("utf-8").replace('decoding: "async"', 'decoding: "sync"'), "utf-8")
    command = [
        browser,
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--virtual-time-budget=4000", "--run-all-compositor-stages-before-draw"),
        f"--user-data-dir={folder / 'profile'}",
        "--window-size={},{}".format(*_PAGE),
        f"--screenshot={picture}",
        waiting.as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return Image.open(picture).convert("RGB")


def _grey(pixels: np.ndarray) -> np.ndarray:
    """Return a radiograph (H, W) as uint8."""
    low, high = np.percentile(pixels, (0.5, 99.5))
    return (255 * np.clip((pixels - low) / (high - low), 0, 1)).astype(np.uint8)


def _made_of(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return variants of a radiograph, such as turned or cut off: name -> (H, W) uint8."""
    grey = _grey(pixels)
    height, width = grey.shape
    white = grey.copy()
    white[round(0.35 * height) :, : width // 2] = 235
    return {
        "inverted": 255 - grey,
        "turned": np.rot90(grey),
        "cropped": grey[round(0.15 * height) : round(0.6 * height)],
        "blurred": gaussian_filter(grey, 0.02 * width),
        "whited_out": white,
    }


if __name__ == "__main__":
    sys.exit(run(main))
