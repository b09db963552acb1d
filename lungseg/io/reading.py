# SPDX-License-Identifier: Apache-2.0
"""Read radiographs and masks of any supported format. No file is opened in this process: see `reader_process`."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, get_args

import numpy as np

from lungseg.io.limits import plausible_spacing
from lungseg.io.radiograph import Format, Projection, Radiograph, SourceFile, SpacingKind, View
from lungseg.io.reader_process import Answer, ask


def read_radiograph(path: str | PathLike[str]) -> Radiograph:
    """Read a PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000, DICOM or NIfTI file, once.

    Raises:
        LungsegError: the file cannot be read, has another format, is damaged, too large or too small, or takes too much
            memory or time.
    """
    answer = ask("radiograph", path)
    facts, pixels = answer.facts, answer.pixels
    assert pixels is not None
    return Radiograph(
        np.ascontiguousarray(pixels, dtype=np.float32),
        plausible_spacing(facts.get("spacing") or ()),
        _one_of(SpacingKind, facts.get("spacing_kind")) or "unknown",
        _one_of(View, facts.get("view")),
        facts.get("flipped") is True,
        _one_of(Projection, facts.get("projection")),
        facts.get("supine") is True,
        str(facts.get("stated_object") or ""),
        str(facts.get("filled_in") or ""),
        _source(answer, path),
    )


def read_source(path: str | PathLike[str]) -> SourceFile:
    """Read the header of a file of a supported format, and not its pixels.

    Raises:
        LungsegError: the file cannot be read, has another format or a damaged header, or takes too much memory or time.
    """
    return _source(ask("source", path), path)


def read_mask_values(path: str | PathLike[str]) -> np.ndarray:
    """Return the values of a mask file, (H, W), any real dtype; see :func:`lungseg.io.mask_values.decode_mask`.

    Raises:
        LungsegError: the file cannot be read, or is not a mask; or takes too much memory or time.
    """
    pixels = ask("mask", path).pixels
    assert pixels is not None
    return pixels


def _source(answer: Answer, path: str | PathLike[str]) -> SourceFile:
    facts = answer.facts
    kind: Format = _one_of(Format, facts.get("format")) or "raster"
    return SourceFile(Path(path), str(facts.get("sha256")), kind, answer.header)


def _one_of(choices: Any, value: Any) -> Any:
    """Return a fact that has one of the values that it may have, or None."""
    return value if value in get_args(choices) else None
