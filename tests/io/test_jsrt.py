# SPDX-License-Identifier: Apache-2.0
"""The raw radiographs of the JSRT database are read by their name and size."""

from __future__ import annotations

import numpy as np
import pytest
from errors_support import fails

from lungseg.io import read_radiograph
from lungseg.io.reading import read_source
from lungseg.utils.errors import LungsegError

SHAPE = (2048, 2048)


def raw(value: int = 4000) -> np.ndarray:
    """Return values as a film has them: air is dark on it, and has the largest ones."""
    values = np.full(SHAPE, value, ">u2")
    values[:100, :200] = 0x0102
    return values


@pytest.mark.parametrize("name", ["JPCLN001.IMG", "jpcnn002.img"])
def test_bytes_polarity_and_spacing(tmp_path, name):
    (tmp_path / name).write_bytes(raw().tobytes())
    radiograph = read_radiograph(tmp_path / name)
    assert radiograph.pixels.shape == SHAPE
    assert radiograph.pixels[0, 0] == 4095 - 0x0102
    assert radiograph.pixels[100, 0] == radiograph.pixels[0, 200] == 95
    assert (radiograph.spacing, radiograph.spacing_kind) == ((0.175, 0.175), "detector")
    assert read_source(tmp_path / name).sha256 == radiograph.source.sha256


def test_other_files_of_the_name_or_the_size_are_not_taken(tmp_path):
    (tmp_path / "short.IMG").write_bytes(raw().tobytes()[:-2])
    (tmp_path / "a.raw").write_bytes(raw().tobytes())
    (tmp_path / "little.IMG").write_bytes(raw(0x0FFF).astype("<u2").tobytes())
    for name in ("short.IMG", "a.raw", "little.IMG"):
        with fails("unknown-format", LungsegError):
            read_radiograph(tmp_path / name)
