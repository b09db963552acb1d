# SPDX-License-Identifier: Apache-2.0
"""Recognise the folder layouts of public data sets and of other programs, without configuration."""

from lungseg.data.layouts.find import find_data
from lungseg.data.layouts.layout import Layout, two_folders

__all__ = ["Layout", "find_data", "two_folders"]
