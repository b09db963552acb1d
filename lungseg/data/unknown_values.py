# SPDX-License-Identifier: Apache-2.0
"""Look at masks that were refused for their values, and propose what the values could stand for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungseg.data.label_values import channels, labels_option
from lungseg.io.reading import read_mask_colours, read_mask_values
from lungseg.utils.errors import LungsegError
from lungseg.utils.text import shorten_list

_SHOWN = 8
# A picture with more values than this is not a mask.
_MOST = 12
# Values on a smaller share of the pixels are shades at a border.
_MIN_SHARE = 0.002
# Values so near to one that more pixels have are its shades: grey values if there are many, and distances of colours.
_NEAR, _MANY, _NEAR_COLOUR = 8, 16, 64
_SNAP = 16
# Two lungs: smallest share of one in the area of both, and smallest distance along x as a share of the width of both.
_MIN_LUNG, _MIN_APART = 0.25, 0.25
# Smallest area of both lungs, as a share of the picture.
_MIN_AREA = 0.02


@dataclass(frozen=True)
class Seen:
    """The values of one mask.

    Attributes:
        values: as `--labels` would name them, the most frequent ones first; without the zero of the background.
        meanings: value -> what it could stand for; empty if no two values lie like two lungs.
    """

    values: tuple[str, ...]
    meanings: dict[str, str]


def look_at(path: Path) -> Seen:
    """Return the values, or the colours, of a mask file; none if it cannot be read or is not a mask."""
    try:
        values, coloured = read_mask_values(path), False
    except LungsegError as error:
        if error.code != "mask-coloured":
            return Seen((), {})
        values, coloured = read_mask_colours(path), True
    # Each pixel that is looked at costs time, and lungs are large.
    step = max(1, min(values.shape) // 256)
    values = values[::step, ::step]
    kept = _main_values(values, coloured)
    if not 0 < len(kept) <= _MOST:
        return Seen((), {})

    def shown(value: float) -> str:
        return f"#{int(value):06x}" if coloured else f"{value:g}"

    if coloured:
        kept = [_plain(value) for value in kept]
        values = _nearest(values, kept)
    frame = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    behind = max(kept, key=lambda value: np.count_nonzero(frame == value))
    meanings = _meanings(values, [value for value in kept if value != behind])
    if meanings and behind != 0:
        meanings[behind] = "background"
    named = tuple(shown(value) for value in kept if value != 0 or meanings.get(0, "background") != "background")
    return Seen(named, {shown(value): meaning for value, meaning in meanings.items()})


def _main_values(values: np.ndarray, coloured: bool) -> list[float]:
    """Return the values that are not shades of others, the most frequent ones first."""
    seen, counts = np.unique(values, return_counts=True)
    if not coloured and seen.size <= _MANY:
        return [float(seen[place]) for place in np.argsort(-counts)]
    places = channels(seen) if coloured else seen[:, None].astype(np.float64)
    near = _NEAR_COLOUR if coloured else _NEAR
    kept: list[int] = []
    for one in np.argsort(-counts, kind="stable"):
        if counts[one] < _MIN_SHARE * values.size or len(kept) > _MOST:
            break
        if all(np.linalg.norm(places[one] - places[other]) > near for other in kept):
            kept.append(int(one))
    return [float(seen[one]) for one in kept]


def _plain(colour: float) -> float:
    """Return a colour that JPEG changed a little as it was, if its channels were 0 or 255."""
    red, green, blue = (
        0 if one <= _SNAP else 255 if one >= 255 - _SNAP else int(one) for one in channels(np.array([colour]))[0]
    )
    return red << 16 | green << 8 | blue


def _nearest(colours: np.ndarray, kept: Sequence[float]) -> np.ndarray:
    """Return the nearest of the colours `kept` for each pixel, (H, W)."""
    seen, places = np.unique(colours, return_inverse=True)
    distances = np.linalg.norm(channels(seen)[:, None] - channels(np.array(kept)), axis=2)
    return np.asarray(np.array(kept, np.float64)[distances.argmin(1)[places]].reshape(colours.shape))


def _meanings(values: np.ndarray, kept: Sequence[float]) -> dict[float, str]:
    """Return the meanings of the values beside the background; empty if no two of them lie like lungs."""
    if not kept:
        return {}
    masks = {value: values == value for value in kept}
    area = {value: np.count_nonzero(mask) for value, mask in masks.items()}
    # Noise has many values, none of which is frequent enough to be kept.
    if not kept:
        return {}
    if len(kept) == 1:
        return {kept[0]: "lung"} if area[kept[0]] >= _MIN_AREA * values.size else {}
    first, second = sorted(kept, key=lambda value: -area[value])[:2]
    right, left = sorted((first, second), key=lambda value: _centre(masks[value]))
    lungs = masks[right] | masks[left]
    columns = np.flatnonzero(lungs.any(axis=0))
    apart = (_centre(masks[left]) - _centre(masks[right])) / (columns[-1] - columns[0] + 1)
    small = min(area[right], area[left]) < _MIN_LUNG * (area[right] + area[left])
    if small or apart < _MIN_APART or np.count_nonzero(lungs) < _MIN_AREA * values.size:
        return {}
    found: dict[float, str] = {right: "right", left: "left"}
    for value in kept:
        if value not in found:
            between = _centre(masks[right]) < _centre(masks[value]) < _centre(masks[left])
            found[value] = "heart" if between else "background"
    return found


def _centre(mask: np.ndarray) -> float:
    """Return the centre of a mask along x."""
    return float(np.flatnonzero(mask.any(axis=0)).mean()) if mask.any() else 0.0


def describe(seen: Iterable[Seen]) -> str:
    """Return the values of the masks of a data set, with the number of files that have each; empty if there is none."""
    files = Counter(value for one in seen for value in one.values)
    return shorten_list([f"{value} ({count} files)" for value, count in files.most_common()], _SHOWN) if files else ""


def propose(seen: Sequence[Seen]) -> str:
    """Return the option that would make the masks of a data set usable; empty if their values do not suggest one."""
    votes: dict[str, Counter[str]] = {}
    for one in seen:
        for value, meaning in one.meanings.items():
            votes.setdefault(value, Counter())[meaning] += 1
    if not votes:
        return ""
    meanings = {value: counted.most_common(1)[0][0] for value, counted in votes.items()}
    return labels_option((meaning, value) for value, meaning in meanings.items())
