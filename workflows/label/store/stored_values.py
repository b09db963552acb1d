# SPDX-License-Identifier: Apache-2.0
"""Check whatever a client gives to be stored: it must be readable again, by every reader of the list of studies."""

from __future__ import annotations

import json
import math
from typing import Any

from lungseg.utils.errors import LungsegError

_MOST_BYTES = 2**16
_LONGEST_TEXT = 4096
_DEEPEST = 8
# JSON readers in other languages know no longer integers.
_LARGEST_INTEGER = 2**63
# Written by MONAI Label into the `info` of a study: strategy -> client and time of its last offer.
_OFFERS = "strategy"


def read_object(text: str | None, what: str) -> dict[str, Any]:
    """Return the JSON object in a text; an empty text is an empty object.

    Args:
        text: as a client sent it.
        what: the name of the field, for the error.

    Raises:
        LungsegError: it is not a JSON object (not-json-object), or it cannot be stored (see `check_storable`).
    """
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        remedy = f"send one, or leave {what} out"
        raise LungsegError(f"{what} is not a JSON object", remedy=remedy, code="not-json-object")
    check_storable(given, what)
    return given


def check_storable(values: dict[str, Any], what: str) -> None:
    """Check that values can be stored and read again as JSON.

    Args:
        values: texts, numbers, true, false, null, and lists and objects of them.
        what: a name of the whole, for the error.

    Raises:
        LungsegError: a text is not Unicode or too long, a number is infinite, NaN or too large, an object is too deep,
            the whole is too large, or a value has another type (value-not-storable).
    """
    fault = _fault(values, 0)
    if not fault and len(json.dumps(values)) > _MOST_BYTES:
        fault = f"it has more than {_MOST_BYTES} bytes"
    if fault:
        raise LungsegError(
            f"{what} cannot be stored: {fault}", remedy="send shorter, plain values", code="value-not-storable"
        )


def check_info(info: dict[str, Any]) -> None:
    """Check the `info` of a study or a label: it can be stored, and the strategies can read their part of it.

    Raises:
        LungsegError: it cannot be stored, or its `strategy` is not strategy -> {"client_id": text, "ts": seconds}
            (value-not-storable).
    """
    check_storable(info, "info")
    offers = info.get(_OFFERS, {})
    if not isinstance(offers, dict) or not all(map(_is_offer, offers.values())):
        what = f"info cannot be stored: its {_OFFERS} does not list offers of the study"
        raise LungsegError(what, remedy=f"leave {_OFFERS} out", code="value-not-storable")


def _is_offer(offer: Any) -> bool:
    return (
        isinstance(offer, dict)
        and isinstance(offer.get("client_id"), str | None)
        and isinstance(offer.get("ts", 0), int | float)
    )


def _fault(value: Any, depth: int) -> str:
    """Return what is wrong with a value, or an empty text."""
    if depth > _DEEPEST:
        return f"it is nested deeper than {_DEEPEST} levels"
    match value:
        case None | bool():
            return ""
        case str():
            return _fault_of_text(value)
        case int():
            return "" if abs(value) < _LARGEST_INTEGER else "an integer is too large"
        case float():
            return "" if math.isfinite(value) else "a number is not finite"
        case dict():
            keys = (_fault_of_text(key) if isinstance(key, str) else "a key is not a text" for key in value)
            return next(filter(None, (*keys, *(_fault(one, depth + 1) for one in value.values()))), "")
        case list() | tuple():
            return next(filter(None, (_fault(one, depth + 1) for one in value)), "")
    return f"it has a value of the type {type(value).__name__}"


def _fault_of_text(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        return f"a text has more than {_LONGEST_TEXT} characters"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a text is not Unicode"
    return ""
