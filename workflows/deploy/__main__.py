# SPDX-License-Identifier: Apache-2.0
"""`python workflows/deploy -i IN -o OUT -m BUNDLE`: how MONAI Deploy starts the application, also in a container.

The options are those of `lungseg deploy run`. Environment variables that the SDK sets stand in for missing options.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.workflows.deploy.run import run

logger = logging.getLogger("lungseg.workflows.deploy")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python workflows/deploy", description=__doc__)
    for letter, name, meaning in (
        ("i", "input", "folder with DICOM studies"),
        ("o", "output", "folder for the results"),
    ):
        path = _from_environment(name)
        parser.add_argument(f"-{letter}", f"--{name}", default=path, required=path is None, metavar="DIR", help=meaning)
    parser.add_argument(
        "-m",
        "--model",
        default=_from_environment("model"),
        metavar="BUNDLE",
        help="folder or TorchScript file of a bundle (default: the shipped bundle)",
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="run the code that the bundle brings, as you would run its author's program",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--settings", metavar="FILE", help="YAML file to use instead of the application's own app.yaml")
    return parser.parse_args()


def _from_environment(name: str) -> str | None:
    return os.environ.get(f"HOLOSCAN_{name.upper()}_PATH") or None


def main() -> int:
    """Run the application once and return the exit status: 0 all well, 1 some inputs failed, 2 wrong use."""
    options = _parse_options()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("lungseg").setLevel(logging.INFO)
    try:
        return run(options.input, options.output, options.model, options.device, options.settings, options.trust)
    except LungsegError as error:
        logger.error("%s", error)
        return 2 if isinstance(error, UsageError) else 1


if __name__ == "__main__":
    sys.exit(main())
