# SPDX-License-Identifier: Apache-2.0
"""Texts for a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

# No text for people contains them: ASCII's and ISO 8859's control characters.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def escape_control(text: object) -> str:
    """Escape the line breaks and commands to the terminal that a file's name may hold."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], str(text))


def shorten_list(names: Sequence[object], shown: int) -> str:
    """Return the first `shown` names, escape_control, and how many there are besides."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(escape_control(name) for name in names[:shown]) + more
