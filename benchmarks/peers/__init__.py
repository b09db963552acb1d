# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.peers`: `lungseg predict` and other ways to segment a folder, in the same run.

Each way is a process of its own with the settings that it has by default; this package only starts and watches them.
"""

from benchmarks.peers.measure import main
from benchmarks.peers.table import tables

__all__ = ["main", "tables"]
