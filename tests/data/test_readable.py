# SPDX-License-Identifier: Apache-2.0
"""The data set of the bundle's inference goes on after a file that cannot be read."""

from __future__ import annotations

import logging

import pytest
from monai.data import DataLoader

from lungseg.data import ReadableDataset
from lungseg.utils.errors import LungsegError


def read(item):
    if item["image"] == "bad.png":
        try:
            raise LungsegError("it is damaged", code="damaged")
        except LungsegError as error:
            raise RuntimeError("applying transform") from error
    if item["image"] == "odd.png":
        raise ZeroDivisionError("a library failed")
    return {"number": item["number"]}


ITEMS = [{"image": name, "number": number} for number, name in enumerate(("a.png", "bad.png", "b.png", "odd.png"))]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_others_are_read_and_each_failure_is_counted_once(workers):
    data = ReadableDataset(ITEMS, read)
    loaded = DataLoader(data, batch_size=1, num_workers=workers)
    assert sorted(int(batch["number"]) for batch in loaded) == [0, 2]
    assert data.failed == 2
    assert data.exit_status() == 1


def test_each_file_is_named_with_its_reason(caplog):
    with caplog.at_level(logging.ERROR, logger="lungseg"):
        assert len(list(ReadableDataset(ITEMS, read))) == 2
    first, second = (record.getMessage() for record in caplog.records)
    assert "bad.png: it is damaged" in first
    assert "odd.png" in second
    assert "a library failed" in second


def test_nothing_is_said_where_all_can_be_read(caplog):
    data = ReadableDataset(ITEMS[:1], read)
    assert list(data) == [{"number": 0}]
    assert data.exit_status() == 0
    assert not caplog.records
