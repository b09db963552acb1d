# SPDX-License-Identifier: Apache-2.0
"""`lungseg export`, `lungseg pack` and `lungseg demo`."""

from __future__ import annotations

import argparse

from lungseg.cli.options import add_weights
from lungseg.model.backends import EXPORT_FORMATS


def add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("-o", "--output", required=True, help="folder for model.onnx and model.ts")
    add_weights(export)
    export.add_argument(
        "--format", nargs="+", dest="formats", default=EXPORT_FORMATS, choices=EXPORT_FORMATS, help="(default: both)"
    )
    export.add_argument(
        "--check",
        nargs="+",
        default=[],
        metavar="INPUT",
        help="radiographs to compare label maps on (default: phantoms)",
    )
    export.set_defaults(run=_export)


def run_demo(options: argparse.Namespace) -> int:
    from lungseg.cli.demo import demo

    demo(options.output)
    return 0


def _export(options: argparse.Namespace) -> int:
    from lungseg.inference.export import export

    files, parities = export(options.output, options.weights, options.formats, options.check)
    images = parities[0].images
    print(f"Compared with PyTorch in fp32 on {images} radiograph{'s' * (images != 1)}:")
    for parity in parities:
        print(f"  {parity}")
    for file in files:
        print(file)
    return 0


def run_pack(options: argparse.Namespace) -> int:
    from lungseg.model.pack import pack

    print(pack(options.output))
    return 0
