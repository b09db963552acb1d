# SPDX-License-Identifier: Apache-2.0
"""Imported, for its effect alone, by the server that worker processes are forked from: what all of them need."""

from lungseg.utils.imports import import_monai_quickly

import_monai_quickly()

import lungseg.inference.workers  # noqa: E402, F401
