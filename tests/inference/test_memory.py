# SPDX-License-Identifier: Apache-2.0
"""Radiographs that are segmented at the same time share the memory of the machine."""

from __future__ import annotations

import threading

import pytest
from errors_support import fails
from images_support import GREY
from PIL import Image

from lungseg.inference import memory
from lungseg.inference.memory import MemoryBudget, check_memory
from lungseg.inference.predict import predict

pytestmark = pytest.mark.safety("memory-of-others")


@pytest.fixture
def one_gigabyte(monkeypatch):
    """The machine has 1 GB for one process beside its libraries, and 0.7 GB for two."""
    monkeypatch.setattr(memory, "machine_memory", lambda: round(1_300_000_000 / 0.75))


@pytest.mark.usefixtures("one_gigabyte")
def test_a_picture_that_is_too_large_for_the_machine_is_refused():
    check_memory(15_000_000, "a.png")
    with fails("too-much-memory"):
        check_memory(16_000_000, "a.png")
    MemoryBudget(2).check(10_000_000, "a.png")
    with fails("too-much-memory"):
        MemoryBudget(2).check(11_000_000, "a.png")


@pytest.mark.usefixtures("one_gigabyte")
def test_a_second_picture_waits_until_there_is_room():
    budget = MemoryBudget()
    assert (budget.fits(15_000_000), budget.fits(16_000_000)) == (True, False)
    entered = threading.Event()

    def second() -> None:
        with budget.held(8_000_000):
            entered.set()

    waiting = threading.Thread(target=second, daemon=True)
    with budget.held(8_000_000):
        waiting.start()
        assert not entered.wait(0.2)
    waiting.join(30)
    assert entered.is_set()
    # What was held is free again.
    with budget.held(15_000_000):
        pass


def test_a_machine_that_does_not_tell_its_memory_takes_everything(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: None)
    budget = MemoryBudget()
    check_memory(10**9, "a.png")
    budget.check(10**9, "a.png")
    assert budget.fits(10**9)
    with budget.held(10**9):
        pass


def test_a_picture_without_room_fails_alone(tmp_path, run_folder, monkeypatch):
    (tmp_path / "in").mkdir()
    Image.fromarray(GREY).save(tmp_path / "in" / "a.png")
    Image.fromarray(GREY).resize((400, 400)).save(tmp_path / "in" / "b.png")
    monkeypatch.setattr(memory, "_available", lambda processes: 64 * 100_000)
    rows = predict([tmp_path / "in"], tmp_path / "out", weights=run_folder, device="cpu", kinds=["masks"], batch_size=2)
    assert [row.status == "failed" for row in rows] == [False, True]
    assert "memory" in rows[1].reason
