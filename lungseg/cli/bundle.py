# SPDX-License-Identifier: Apache-2.0
"""`lungseg export` and `lungseg pack`."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from lungseg.cli.console import print_result
from lungseg.cli.options import add_command, add_output, add_trust, add_weights
from lungseg.model.backends import EXPORT_FORMATS

if TYPE_CHECKING:
    from lungseg.cli.options import Commands

logger = logging.getLogger(__name__)


def add_export(commands: Commands) -> None:
    """Add `lungseg export`."""
    example = "lungseg export -o exported --format onnx --check one.dcm"
    purpose = "write the network for other programs, compared with PyTorch"
    export = add_command(commands, "export", purpose, example, _export)
    add_output(export, "folder for the files")
    add_weights(export)
    add_trust(export, "the folder of a run")
    export.add_argument(
        "--format",
        nargs="+",
        dest="formats",
        default=EXPORT_FORMATS,
        choices=EXPORT_FORMATS,
        help=f"{' and '.join(EXPORT_FORMATS)} (default: all of them)",
    )
    export.add_argument(
        "--check",
        nargs="+",
        default=[],
        metavar="INPUT",
        help="radiographs on which the files are compared with PyTorch (default: phantoms)",
    )


def add_pack(commands: Commands) -> None:
    """Add `lungseg pack`."""
    example = "lungseg pack -o lung_cxr_segmentation.zip"
    pack = add_command(commands, "pack", "zip the bundle with its code", example, _pack)
    add_output(pack, "file to write", "lung_cxr_segmentation.zip")


def _export(options: argparse.Namespace) -> int:
    from lungseg.inference.export import export

    outcomes = export(options.output, options.weights, options.formats, options.check, options.trust)
    for outcome in outcomes:
        if outcome.parity and outcome.file:
            images = outcome.parity.images
            print_result(outcome.file)
            print_result(f"  compared with PyTorch on {images} picture{'s' * (images != 1)}: {outcome.parity}")
    for outcome in outcomes:
        if outcome.error:
            logger.error("failed: %s", outcome.error)
    return 1 if any(outcome.error for outcome in outcomes) else 0


def _pack(options: argparse.Namespace) -> int:
    from lungseg.model.pack import pack

    print_result(pack(options.output))
    return 0
