# SPDX-License-Identifier: Apache-2.0
"""The ways that are compared: the command of each, how many files it gets, and what it does with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.record import ROOT
from lungseg.utils.errors import UsageError

SIDES = (512, 2048)


class Way(NamedTuple):
    """One way to segment a folder.

    Attributes:
        name: its row.
        command: its command; {inputs} and {output} are folders.
        files: how many it gets of each of `SIDES`, at least two: slow ones get few.
        sees: the input of the network.
        mask: how the mask is made of what the network finds.
        quality: whether wrong, turned and inverted pictures are recognised and the quality estimated.
        writes: the files besides a mask of both lungs.
        damaged: what follows from a file that cannot be read.
        comparable: its masks are lungs, which can be compared with those of another way.
    """

    name: str
    command: tuple[str, ...]
    files: tuple[int, ...]
    sees: str
    mask: str
    quality: str
    writes: str
    damaged: str
    comparable: bool = True


_FOLDERS = ("{inputs}", "{output}")
_SCRIPT = (sys.executable, "-m")
_CROPPED = "the picture without its borders, shorter side 256"
_CLEANED = "right and left lung apart, small pieces removed, holes filled"
_NAMED, _ENDS = "is named, the others are segmented", "ends the run"

# The masks of the others are compared with those of the first one, which gets the most files.
WAYS = (
    Way(
        "`lungseg predict`, default outputs",
        (str(Path(sys.executable).with_name("lungseg")), "predict", "{inputs}", "-o", "{output}", "-q"),
        (240, 96),
        _CROPPED,
        _CLEANED,
        "yes, in the report",
        "label map, overlay, thumbnail, report with measurements, record by which it goes on",
        _NAMED,
    ),
    Way(
        "`Predictor` in a loop over the files",
        (*_SCRIPT, "benchmarks.peers.file_loop", *_FOLDERS),
        (96, 48),
        _CROPPED,
        _CLEANED,
        "yes, not written",
        "none",
        _ENDS,
    ),
    Way(
        "the same, a new process for each file",
        (*_SCRIPT, "benchmarks.peers.process_each", *_FOLDERS),
        (2, 2),
        _CROPPED,
        _CLEANED,
        "yes, not written",
        "none",
        _ENDS,
    ),
    Way(
        "`monai.bundle run` of this bundle",
        (
            *(*_SCRIPT, "monai.bundle", "run", "--config_file", str(ROOT / "bundle" / "configs" / "inference.json")),
            *("--bundle_root", str(ROOT / "bundle"), "--dataset_dir", "{inputs}", "--pattern", "*.png"),
            *("--output_dir", "{output}"),
        ),
        (64, 32),
        _CROPPED,
        _CLEANED,
        "yes, not written",
        "label map",
        _NAMED,
    ),
    Way(
        "plain MONAI as in its 2-D tutorial, this network",
        (*_SCRIPT, "benchmarks.peers.monai_tutorial", *_FOLDERS),
        (48, 8),
        "windows of 256 x 256 of the picture as it is",
        "a threshold",
        "no",
        "none",
        _ENDS,
    ),
    Way(
        "the same, pictures resized to 256 x 256",
        (*_SCRIPT, "benchmarks.peers.monai_tutorial", *_FOLDERS, "--side", "256"),
        (96, 32),
        "the picture, 256 x 256",
        "a threshold, at the picture's size",
        "no",
        "none",
        _ENDS,
    ),
)


def pspnet(python: str) -> Way:
    """Return the way of TorchXRayVision.

    Args:
        python: the interpreter of an environment that has it.
    """
    return Way(
        "TorchXRayVision's PSPNet in a loop, random weights",
        (python, str(Path(__file__).with_name("pspnet.py")), *_FOLDERS),
        (3, 3),
        "the picture, 512 x 512",
        "a threshold for each of 14 structures, at 512 x 512",
        "no",
        "none",
        _ENDS,
        comparable=False,
    )


def torchxrayvision_version(python: str) -> str:
    """Return the version of TorchXRayVision in an environment.

    Raises:
        UsageError: it cannot be used there.
    """
    script = str(Path(__file__).with_name("pspnet.py"))
    try:
        done = subprocess.run([python, script, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise UsageError(
            f"TorchXRayVision cannot be used there: {said[-1]}",
            python,
            "name the Python of an environment that has torchxrayvision and torchvision",
            code="no-torchxrayvision",
        ) from error
    return done.stdout.strip().splitlines()[-1]
