# SPDX-License-Identifier: Apache-2.0
"""Texts for a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

# The control characters of ASCII and ISO 8859, which no text for people contains.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def escape_control(text: object) -> str:
    """Escape the line breaks and terminal commands that a file's name may contain."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], str(text))


def shorten_list(names: Sequence[object], shown: int) -> str:
    """Return the first `shown` names, with control characters escaped, and the number of the others."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(escape_control(name) for name in names[:shown]) + more
