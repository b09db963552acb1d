# SPDX-License-Identifier: Apache-2.0
"""`lungseg merge`."""

from __future__ import annotations

import argparse
import logging
import os
from typing import TYPE_CHECKING

from lungseg.cli.options import add_command
from lungseg.cli.predict import print_counts
from lungseg.utils.text import escape_control, shorten_list

if TYPE_CHECKING:
    from lungseg.cli.options import Commands

logger = logging.getLogger(__name__)

_SHOWN = 5


def add_merge(commands: Commands) -> None:
    """Add `lungseg merge`."""
    description = "The parts are those of lungseg predict --part 1/4, 2/4 and so on."
    example = "lungseg merge out"
    merge = add_command(commands, "merge", "write one report of the parts of a run", example, _merge, description)
    merge.add_argument("folder", metavar="OUT", help="folder of results that the parts share")


def _merge(options: argparse.Namespace) -> int:
    from lungseg.inference.merge import merge

    merged = merge(options.folder)
    if merged.missing:
        names = shorten_list([escape_control(name) for name in merged.missing], _SHOWN)
        logger.warning("missing, of parts that have begun: %d: %s", len(merged.missing), names)
    if merged.not_begun:
        numbers = shorten_list([str(part.number) for part in merged.not_begun], _SHOWN)
        logger.warning("parts of %d that have not begun: %s", merged.not_begun[0].count, numbers)
    if merged.at_work:
        logger.warning("parts that are at work: %s", shorten_list([str(p.number) for p in merged.at_work], _SHOWN))
    page, table = (os.path.join(options.folder, name) for name in ("report.html", "report.csv"))
    print_counts(merged.rows, f"open {page} (table: {table})")
    return 0 if merged.is_complete and not any(row.status == "failed" for row in merged.rows) else 1
