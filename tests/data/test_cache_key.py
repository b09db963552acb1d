# SPDX-License-Identifier: Apache-2.0
"""Keys of prepared cases: whatever changes a result changes the key, and nothing else does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from monai.transforms import Lambdad

from lungseg.data import cache_key
from lungseg.data.cache_key import transforms_key


@dataclass
class Factor:
    value: float

    def scale(self, image):
        return image * self.value


@dataclass(slots=True)
class Slim:
    value: float

    def __call__(self, image):
        return image * self.value


def raised(image, *, by):
    return image + by


def of_keyword(value):
    def function(image, *, by=value):
        return image + by

    return function


@pytest.mark.parametrize(
    "make",
    [
        lambda value: Factor(value).scale,
        Slim,
        lambda value: partial(raised, by=np.float32(value)),
        lambda value: partial(raised, by=Path(f"{value}.npy")),
        lambda value: partial(raised, by=range(int(value))),
        lambda value: partial(raised, by=complex(value)),
        of_keyword,
    ],
    ids=["method", "slots", "number", "path", "range", "complex", "keyword"],
)
def test_another_value_is_another_key(make):
    one, same, other = (transforms_key([Lambdad("image", make(value))]) for value in (1.0, 1.0, 2.0))
    assert one == same
    assert one != other


@pytest.mark.parametrize("name", ["pydicom", "pillow", "nibabel"])
def test_another_version_of_a_decoder_is_another_key(monkeypatch, name):
    before = transforms_key([])
    version = cache_key.version
    monkeypatch.setattr(cache_key, "version", lambda one: "99" if one == name else version(one))
    assert transforms_key([]) != before
