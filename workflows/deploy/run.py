# SPDX-License-Identifier: Apache-2.0
"""One run of the application, for `lungseg deploy run` and for `python workflows/deploy`."""

from __future__ import annotations

import logging
from os import PathLike
from typing import TYPE_CHECKING

from lungseg.utils.imports import import_monai_quickly
from lungseg.utils.text import escape_control
from lungseg.workflows.deploy.cuda_runtime import prepare_runtime

if TYPE_CHECKING:
    from lungseg.workflows.deploy.app import LungsApplication

logger = logging.getLogger(__name__)


def load_application(
    bundle: str | PathLike[str] | None = None,
    device: str = "auto",
    settings: str | PathLike[str] | None = None,
    trust: bool = False,
) -> LungsApplication:
    """Return the application, ready to run; the imports take some seconds.

    Args:
        bundle, trust: see :func:`lungseg.model.open_bundle`.
        device, settings: see :class:`LungsApplication`.

    Raises:
        UsageError: a package is not installed, or there is no such bundle, device or file of settings.
        LungsegError: the bundle is damaged, or brings code and is not trusted.
    """
    prepare_runtime()
    import_monai_quickly()
    from lungseg.model.bundle import open_bundle
    from lungseg.workflows.deploy.app import LungsApplication

    return LungsApplication(open_bundle(bundle, trust), device, settings)


def run(
    source: str | PathLike[str],
    output: str | PathLike[str],
    bundle: str | PathLike[str] | None = None,
    device: str = "auto",
    settings: str | PathLike[str] | None = None,
    trust: bool = False,
) -> int:
    """Process the folder `source`, log the outcome, and return the exit status: 1 if a file failed, otherwise 0.

    Raises:
        LungsegError: see :meth:`LungsApplication.process` and :func:`load_application`.
    """
    summary = load_application(bundle, device, settings, trust).process(source, output)
    for entry in summary["files"]:
        if entry["status"] == "failed":
            logger.error("failed: %s", entry["reason"])
        elif entry["status"] == "flagged":
            logger.warning("flagged: %s: %s.", escape_control(entry["file"]), entry["reason"])
        elif entry["status"] == "ok" and entry["reason"]:
            logger.warning("%s: %s.", escape_control(entry["file"]), entry["reason"])
    counts = ", ".join(f"{number} {status}" for status, number in summary["counts"].items() if number)
    logger.info("%s: see %s/summary.json", counts, output)
    return 1 if summary["counts"]["failed"] else 0
