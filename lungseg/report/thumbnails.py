# SPDX-License-Identifier: Apache-2.0
"""The pictures of the pages: small JPEG files without a drawing, which carry the outlines as data."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from os import PathLike
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from lungseg.io.overlay import to_greys

if TYPE_CHECKING:
    from lungseg.report.outlines import Drawing

# Longer side in pixels: as large as the viewer shows a picture on most screens.
_LONGEST_SIDE = 768
_QUALITY = 65
# The comment of a JPEG file that carries outlines begins with it. Pictures without it, which earlier versions wrote,
# have their outlines drawn on them.
_HEAD = b"lungseg outlines 1 "


def encode_thumbnail(image: NDArray[Any], drawing: Drawing | None = None) -> bytes:
    """Return the bytes of a JPEG file of at most 768 pixels a side, about 30 kilobytes.

    Args:
        image: (H, W), any real type; shown from its 0.5th to its 99.5th percentile.
        drawing: kept in the file as data, for `read_drawing`.
    """
    from PIL import Image

    # Every second or third pixel of a large picture is enough for its averages.
    step = max(1, round(max(image.shape) / (1.5 * _LONGEST_SIDE)))
    small = Image.fromarray(to_greys(image[::step, ::step]))
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.BOX)
    comment = _HEAD + json.dumps(asdict(drawing), separators=(",", ":")).encode() if drawing else b""
    content = io.BytesIO()
    small.save(content, "JPEG", quality=_QUALITY, comment=comment)
    return content.getvalue()


def read_drawing(path: str | PathLike[str]) -> dict[str, Any] | None:
    """Return the drawing that a picture carries, as `dataclasses.asdict` writes it; None if it has its outlines on it.

    Only the beginning of the file is read.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            comment = picture.info.get("comment", b"")
        found = json.loads(comment.removeprefix(_HEAD)) if comment.startswith(_HEAD) else None
    except (OSError, ValueError, RecursionError):
        return None
    return found if _is_drawing(found) else None


def _is_drawing(found: Any) -> bool:
    """Return whether the parts of a drawing have their types; the page's script relies on them."""
    try:
        numbers = [found["width"], found["height"], *(at for mark in found["marks"].values() for at in mark)]
        texts = [*found["outlines"], *found["outlines"].values()]
    except (TypeError, KeyError, AttributeError):
        return False
    return all(type(number) is int for number in numbers) and all(isinstance(text, str) for text in texts)
