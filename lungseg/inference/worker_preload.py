# SPDX-License-Identifier: Apache-2.0
"""Imported by the server that worker processes are forked from, so that they share the memory of these libraries."""

from lungseg.utils.imports import import_monai_quickly

import_monai_quickly()

import lungseg.inference.workers  # noqa: E402, F401
