# SPDX-License-Identifier: Apache-2.0
"""The app as MONAI Label loads it: `lungseg label start` copies this file into the workspace."""

from lungseg.workflows.label.setup.torchvision_stub import declare_operators

declare_operators()

from lungseg.workflows.label.app import LungsApp  # noqa: E402

__all__ = ["LungsApp"]
