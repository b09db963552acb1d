# SPDX-License-Identifier: Apache-2.0
"""One run of the application, as both of its doors start it: `lungseg deploy run` and `python workflows/deploy`."""

from __future__ import annotations

import sys
from os import PathLike
from typing import TYPE_CHECKING

from lungseg.utils.imports import import_monai_quickly
from lungseg.utils.text import escape_control
from lungseg.workflows.deploy.cuda_runtime import prepare_runtime

if TYPE_CHECKING:
    from lungseg.workflows.deploy.app import LungsApplication


def start(
    bundle: str | PathLike | None = None, device: str = "auto", settings: str | PathLike | None = None
) -> LungsApplication:
    """Return the application, ready to run; it takes some seconds of imports.

    Raises:
        UsageError: what it needs is not installed, or there is no such bundle or device.
    """
    prepare_runtime()
    import_monai_quickly()
    from lungseg.model.bundle import open_bundle
    from lungseg.workflows.deploy.app import LungsApplication

    return LungsApplication(open_bundle(bundle), device, settings)


def run(
    source: str | PathLike,
    output: str | PathLike,
    bundle: str | PathLike | None = None,
    device: str = "auto",
    settings: str | PathLike | None = None,
) -> int:
    """Process the folder `source`, print what became of it, and return the exit status: 1 if something failed.

    Raises:
        LungsegError: see :meth:`LungsApplication.process` and :func:`start`.
    """
    summary = start(bundle, device, settings).process(source, output)
    for entry in summary["files"]:
        if entry["status"] == "failed":
            print(f"lungseg: failed: {entry['reason']}", file=sys.stderr)
        elif entry["status"] == "flagged":
            print(f"lungseg: flagged: {escape_control(entry['file'])}: {entry['reason']}.", file=sys.stderr)
    told = ", ".join(f"{number} {status}" for status, number in summary["counts"].items() if number)
    print(f"{told}: see {output}/summary.json")
    return 1 if summary["counts"]["failed"] else 0
