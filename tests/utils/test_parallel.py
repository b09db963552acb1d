# SPDX-License-Identifier: Apache-2.0
"""Work that overlaps: results in order, few items ahead, and a clean stop."""

from __future__ import annotations

import threading
import time

import pytest
from stopping_support import watched_stop

from lungseg.utils.parallel import work_in_order


def test_results_come_in_order_whichever_is_done_first():
    found: list[int] = []

    def work(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number

    work_in_order(work, range(30), 3, found.append)
    assert found == list(range(30))


def test_only_a_few_items_are_taken_ahead():
    taken, first, most = [], threading.Event(), []

    def items():
        for number in range(200):
            taken.append(number)
            if number == 32:
                first.set()
            yield number

    def work(number: int) -> int:
        if number == 0:
            first.wait(60)
        return number

    def finished(number: int) -> None:
        most.append(len(taken) - number)

    work_in_order(work, items(), 2, finished)
    assert len(most) == 200
    assert max(most) == 2 * 16 + 1


def test_after_an_error_nothing_is_begun_and_what_runs_is_finished(monkeypatch):
    begun, found, running, stop = [], [], threading.Event(), watched_stop(monkeypatch)

    def work(number: int) -> int:
        begun.append(number)
        if number == 1:
            running.wait(60)
            raise KeyboardInterrupt
        if number == 2:
            running.set()
            assert stop.wait(60)
        return number

    with pytest.raises(KeyboardInterrupt):
        work_in_order(work, range(100), 2, found.append)
    assert found == [0, 2]
    assert sorted(begun) == [0, 1, 2]
