# SPDX-License-Identifier: Apache-2.0
"""Phantoms are exact, asymmetric and the same for the same seed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from errors_support import fails
from PIL import Image

from lungseg.data import check_data, datalist, find_data, phantom, read_label, write_phantoms
from lungseg.data.labels import from_values
from lungseg.utils.errors import UsageError


@pytest.mark.parametrize("bits", [8, 16])
def test_the_same_seed_gives_the_same_bits(bits):
    image, labels = phantom(7, bits=bits)
    again, labels_again = phantom(7, bits=bits)
    assert image.tobytes() == again.tobytes()
    assert labels.tobytes() == labels_again.tobytes()
    assert image.dtype == {8: np.uint8, 16: np.uint16}[bits]
    assert not np.array_equal(labels, phantom(8, labels.shape[::-1])[1])


def dome(lung):
    """Return the highest row of the diaphragm lateral of the middle of a lung that lies on the right of the picture."""
    columns = np.flatnonzero(lung.any(axis=0))
    third = columns[columns.size // 2 : columns.size * 3 // 4]
    return min(np.flatnonzero(lung[:, column]).max() for column in third)


def test_anatomy():
    shares, domes = [], []
    for seed in range(40):
        image, labels = phantom(seed, (200, 170))
        assert image.shape == labels.shape == (170, 200)
        right, left = labels == 1, labels == 2
        assert 0.06 < (right | left).mean() < 0.4
        assert np.nonzero(right)[1].max() < np.nonzero(left)[1].min() + 20
        assert image[labels > 0].mean() < image[labels == 0].mean()
        domes.append(dome(left) - dome(right[:, ::-1]))
        shares.append(right.sum() / (right | left).sum())
        assert not np.array_equal(labels > 0, labels[:, ::-1] > 0)
        assert np.array_equal(np.pad(labels[1:-1, 1:-1], 1), labels), "a lung reaches the border"
    # The liver lifts the right lung.
    assert np.mean(domes) > 2
    # The heart makes the left lung the smaller one.
    assert 0.5 < np.mean(shares) < 0.55
    assert max(shares) < 0.6


def test_phantoms_are_not_square_unless_asked():
    assert all(len(set(phantom(seed)[0].shape)) == 2 for seed in range(4))
    assert phantom(0, (64, 64))[0].shape == (64, 64)


def test_exposure_and_depth_vary():
    images = [phantom(seed, (96, 80), bits=16)[0] for seed in range(12)]
    assert max(int(image.max()) for image in images) > 32000
    assert min(int(image.max()) for image in images) < 9000
    assert np.std([image.mean() / image.max() for image in images]) > 0.01


def test_a_mask_gives_the_label_map_back():
    for seed in range(25):
        _, labels = phantom(seed, (160, 130) if seed % 2 else None)
        assert np.array_equal(from_values((labels > 0).astype(np.uint8)).labels, labels)


def test_a_data_set_of_phantoms(tmp_path):
    folder = write_phantoms(tmp_path / "my phantoms", 4, seed=3, size=(100, 90), bits=16)
    result = check_data(find_data(folder))
    assert (len(result.pairs), result.problems) == (4, [])
    names = [item["name"] for item in datalist(folder, "all")]
    assert names == ["phantom_0001", "phantom_0002", "phantom_0003", "phantom_0004"]
    image, labels = phantom((3, 2), (100, 90), bits=16)
    with Image.open(folder / "CXR_png/phantom_0002.png") as stored:
        assert np.array_equal(np.asarray(stored), image)
    assert np.array_equal(read_label(folder / "masks/phantom_0002.png").labels, labels)
    digests = {hashlib.md5(path.read_bytes()).digest() for path in (folder / "CXR_png").iterdir()}
    assert len(digests) == 4


@pytest.mark.parametrize(("size", "bits"), [((10, 10), 8), (None, 12)])
def test_impossible_phantoms(size, bits):
    with fails("phantom-impossible", UsageError):
        phantom(0, size, bits)
