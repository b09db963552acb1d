# SPDX-License-Identifier: Apache-2.0
"""Up to which change everything is done: never beyond a change that is not."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from pydicom.uid import ComputedRadiographyImageStorage

from lungseg.utils.errors import LungsegError
from lungseg.workflows.deploy.orthanc.backlog import Backlog
from lungseg.workflows.deploy.orthanc.client import Change, GoneError, Orthanc
from lungseg.workflows.deploy.orthanc.watch import _Worker


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


def test_it_is_done_up_to_the_first_that_waits(backlog):
    assert (backlog.sequence, backlog.read) == (10, 15)
    backlog.done(["s", "a", "b"])
    assert backlog.sequence == 12
    backlog.done(["x"])
    assert backlog.sequence == 15


def test_a_study_that_is_reported_twice_waits_from_the_first_time_on(backlog):
    backlog.add(Change(16, "StableStudy", "s"))
    backlog.done(["a", "b", "x"])
    assert backlog.sequence == 14


def test_it_asks_after_delays_that_double(backlog, clock):
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


def test_it_does_not_ask_about_a_study_that_is_done(backlog, clock):
    backlog.done(["a", "b", "s"])
    clock.now = 1000
    assert backlog.due() == ["x"]
    assert backlog.is_due("x")
    assert not backlog.is_due("a")


def test_an_instance_waits_with_its_study(backlog, clock):
    clock.now = 10
    backlog.join("b", "s")
    backlog.postpone("s")
    assert backlog.due() == ["a", "x"]
    # Its study waits already.
    backlog.join("a", "s")
    assert backlog.due() == ["x"]
    backlog.done(["x", "b"])
    assert backlog.sequence == 10
    clock.now = 20
    assert backlog.due() == ["a", "s"]


def test_an_instance_brings_its_study_along(clock):
    """Orthanc was stopped before it reported the study as stable."""
    backlog = Backlog(0, ask_after=10, clock=clock)
    backlog.add(Change(1, "NewInstance", "a"))
    clock.now = 10
    backlog.join("a", "s")
    assert backlog.due() == ["a", "s"]
    backlog.postpone("s")
    assert backlog.due() == []


def test_a_modality_that_is_gone_stops_nothing(backlog, monkeypatch, caplog):
    answer = SimpleNamespace(status_code=404)
    orthanc = Orthanc("http://127.0.0.1:1")
    monkeypatch.setattr(orthanc._session, "request", lambda *_, **__: nullcontext(answer))
    with pytest.raises(LungsegError) as refusal:
        orthanc.send(["a"], "gone")
    assert refusal.value.code == "modality-unknown"
    worker = _Worker(orthanc, SimpleNamespace(send_to=["gone"]), SimpleNamespace(), backlog)
    worker.resubmit_at = 0
    worker._resubmit()
    assert "/modalities/gone/configuration" in caplog.text


class Feed:
    """An Orthanc with one stable study of twenty instances, which it reports as stable or not."""

    url = "http://127.0.0.1:1"

    def __init__(self, reported: bool, failing: str) -> None:
        self.kinds = [("NewInstance", f"i{number}") for number in range(20)] + reported * [("StableStudy", "s")]
        self.failing = failing

    def changes(self, since: int) -> list[Change]:
        return [Change(number, *kind) for number, kind in enumerate(self.kinds, 1) if number > since]

    def study_of(self, resource: str) -> tuple[str, bool]:
        if resource == "s":
            raise GoneError("a study is not an instance")
        return "s", True

    def series(self, study: str) -> list[tuple[dict[str, str], list[str]]]:
        if self.failing == "look":
            raise LungsegError("it cannot be read now")
        return [({"Modality": "CR"}, [resource for _, resource in self.kinds[:20]])]

    def metadata(self, instance: str) -> dict[str, str]:
        return {"SopClassUid": ComputedRadiographyImageStorage}


class Processor:
    """Fails, by default because the disk is full."""

    def __init__(self, error: LungsegError | None = None) -> None:
        self.error = error or LungsegError("the disk is full")

    application = SimpleNamespace(algorithm=SimpleNamespace(weights=""))
    send_to = ()

    def __call__(self, study: str, radiographs: list[str]) -> None:
        raise self.error


class Memory:
    """A state that keeps nothing on the disk and counts no tries."""

    def save(self, sequence: int) -> None:
        pass

    def tries(self, resource: str) -> int:
        return 0

    begin = end = save


def worker_of(orthanc: Feed, backlog: Backlog, error: LungsegError | None = None) -> _Worker:
    return _Worker(orthanc, Processor(error), Memory(), backlog)


@pytest.mark.parametrize("failing", ["look", "work"])
@pytest.mark.parametrize(("reported", "times"), [(True, [0, 10, 30, 70]), (False, [10, 20, 40, 80])])
def test_a_study_that_fails_is_tried_again_after_delays_that_double(clock, caplog, reported, times, failing):
    """However many instances it has, and whether or not Orthanc reports that it is stable."""
    tried = []
    worker = worker_of(Feed(reported, failing), Backlog(0, 10, clock))
    for clock.now in range(90):
        caplog.clear()
        worker._catch_up()
        tried += [clock.now for _ in caplog.records]
    assert tried == times
    assert worker.backlog.sequence == 0


@pytest.mark.parametrize("reported", [True, False])
def test_once_tries_a_study_once(clock, caplog, reported):
    with pytest.raises(LungsegError) as error:
        worker_of(Feed(reported, "work"), Backlog(0, 0, clock)).catch_up_once()
    assert error.value.code == "studies-postponed"
    (record,) = caplog.records
    assert record.getMessage().startswith("study s: postponed")


@pytest.mark.parametrize("reported", [True, False])
def test_a_study_with_a_missing_instance_is_done(clock, reported):
    """Orthanc also reports a file as missing that its disk lost."""
    feed = Feed(reported, "work")
    worker = worker_of(feed, Backlog(0, 10, clock), error=GoneError("it is gone"))
    for clock.now in range(12):
        worker._catch_up()
    assert worker.backlog.due() == []
    assert worker.backlog.sequence == len(feed.kinds)
