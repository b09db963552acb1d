# SPDX-License-Identifier: Apache-2.0
"""Up to where the change feed is done: never beyond what is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lungseg.errors import LungsegError
from lungseg.workflows.deploy.backlog import Backlog
from lungseg.workflows.deploy.orthanc import Change, GoneError, Orthanc
from lungseg.workflows.deploy.watch import _Worker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backlog(clock) -> Backlog:
    """A study `s` whose instances `a` and `b` arrived among those of others."""
    backlog = Backlog(10, ask_after=10, clock=clock)
    for sequence, (kind, resource) in enumerate(
        [("NewInstance", "a"), ("NewSeries", "q"), ("NewInstance", "x"), ("NewInstance", "b"), ("StableStudy", "s")], 11
    ):
        backlog.add(Change(sequence, kind, resource))
    return backlog


def test_it_is_done_up_to_what_waits(backlog):
    assert (backlog.sequence, backlog.read) == (10, 15)
    backlog.done(["s", "a", "b"])
    assert backlog.sequence == 12
    backlog.done(["x"])
    assert backlog.sequence == 15


def test_what_is_told_twice_waits_from_the_first_time_on(backlog):
    backlog.add(Change(16, "StableStudy", "s"))
    backlog.done(["a", "b", "x"])
    assert backlog.sequence == 14


def test_it_asks_after_a_while_and_ever_more_rarely(backlog, clock):
    assert backlog.due() == []
    clock.now = 10
    assert backlog.due() == ["a", "x", "b", "s"]
    for now, due in ((10, False), (19, False), (20, True)):
        clock.now = now
        if now == 10:
            backlog.postpone("a")
        assert ("a" in backlog.due()) is due
    backlog.postpone("a")
    clock.now = 39
    assert "a" not in backlog.due()
    clock.now = 40
    assert "a" in backlog.due()


def test_what_is_done_is_not_asked_about(backlog, clock):
    backlog.done(["a", "b", "s"])
    clock.now = 1000
    assert backlog.due() == ["x"]
    assert "x" in backlog
    assert "a" not in backlog


def test_a_modality_that_is_gone_stops_nothing(backlog, monkeypatch):
    answer = SimpleNamespace(ok=False, status_code=404)
    orthanc = Orthanc("http://127.0.0.1:1")
    monkeypatch.setattr(orthanc._session, "request", lambda *_, **__: answer)
    with pytest.raises(LungsegError, match="add it to DicomModalities") as refusal:
        orthanc.send(["a"], "gone")
    assert not isinstance(refusal.value, GoneError)
    told = []
    worker = _Worker(orthanc, SimpleNamespace(send_to=["gone"]), SimpleNamespace(), backlog, say=told.append)
    worker.resubmit_at = 0
    worker._resubmit()
    assert "/modalities/gone/configuration" in told[0]


def test_a_study_that_fails_is_tried_after_twice_as_long_each_time(backlog, clock):
    tried = []

    class Feed:
        def changes(self, since: int) -> list[Change]:
            return []

        def study_of(self, resource: str) -> tuple[str, bool]:
            if resource == "s":
                raise GoneError("a study is no instance")
            return "s", True

        def series(self, study: str) -> list[dict]:
            tried.append(clock.now)
            raise LungsegError("it cannot be read now")

    backlog.done(["a", "x"])
    processor = SimpleNamespace(application=SimpleNamespace(algorithm=SimpleNamespace(weights="")), send_to=[])
    worker = _Worker(Feed(), processor, SimpleNamespace(save=print), backlog, say=print)
    for clock.now in range(75):
        worker._catch_up()
    # By its instance, and by itself.
    assert sorted(set(tried)) == [10, 20, 40]
