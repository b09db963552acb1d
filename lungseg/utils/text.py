# SPDX-License-Identifier: Apache-2.0
"""Texts for a terminal, a page or a table that other people's names cannot command."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Control characters, lone surrogates (bytes of a name that are not UTF-8), and separators of lines.
_HIDDEN = {"Cc", "Cs", "Zl", "Zp", "Cf"}
# Format characters (Cf) that are drawn: Arabic, Syriac and Kaithi signs before a number.
_DRAWN = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# Zero width non-joiner and joiner: Persian, Indic and emoji names are misspelt without them.
_JOINERS = "\u200c\u200d"
_LATIN = "\u02ff"
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def escape_control(text: object) -> str:
    """Escape characters that are obeyed instead of shown, which a file's name may contain.

    These are line breaks, terminal commands, marks that turn the direction of writing, other invisible characters, and
    bytes that are not UTF-8. Joiners stay after a letter of a script that needs them.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        repr(character)[1:-1] if _is_hidden(character, text[max(0, place - 1) : place]) else character
        for place, character in enumerate(text)
    )


def _is_hidden(character: str, before: str) -> bool:
    if character in _JOINERS:
        return not (before > _LATIN and unicodedata.category(before)[0] in "LMS")
    return unicodedata.category(character) in _HIDDEN and character not in _DRAWN


def shorten_list(names: Sequence[object], shown: int) -> str:
    """Return the first `shown` names, with control characters escaped, and the number of the others."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(escape_control(name) for name in names[:shown]) + more


def describe_duration(seconds: float) -> str:
    """Write a duration for people: 12 s, 3 min, 2 h 05 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def protect_cell(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula; see `restore_cell`.

    Such a text begins with `=`, `+`, `-`, `@`, a tab or a line break, perhaps after other apostrophes
    (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    return f"'{text}" if _FORMULA.match(text) else text


def restore_cell(cell: str) -> str:
    """Return the text that `protect_cell` wrote."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
