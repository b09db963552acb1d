# SPDX-License-Identifier: Apache-2.0
"""Saving over HTTP checks the version that was opened, so that no label is replaced unseen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import numpy as np
import pytest
from label_support import LabelServer, png, require_environment

from lungseg.data import phantom
from lungseg.io import write_png

SIZE = (96, 72)
LABEL = "/lungseg/studies/a/label"
pytestmark = pytest.mark.safety("label-replaced-unseen")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    require_environment()
    folder = tmp_path_factory.mktemp("shared") / "studies"
    write_png(folder / "a.png", phantom((13, 0), SIZE)[0])
    with LabelServer(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def without_label(server):
    yield
    server.ask("DELETE", "/datastore/label?id=a&tag=final")


def drawn(number: int) -> np.ndarray:
    """A label map, another one for each number."""
    labels = phantom((13, 0), SIZE)[1].copy()
    labels[number, :5] = 1
    return labels


def kept(server) -> set[bytes]:
    return {file.read_bytes() for file in (server.work / "replaced").rglob("a.*")}


def test_a_version_is_replaced_by_the_one_who_opened_it(server):
    first = server.save("a", drawn(1), If_None_Match="*")
    assert (first.status, first.json) == (200, {"image": "a", "label": "a"})
    opened = server.get(LABEL)
    assert opened.etag == first.etag == server.get("/datastore/label", label="a", tag="final").etag
    second = server.save("a", drawn(2), If_Match=opened.etag)
    assert second.status == 200
    assert second.etag == server.get(LABEL).etag != first.etag
    np.testing.assert_array_equal(server.get(LABEL).labels, drawn(2))


@pytest.mark.parametrize("condition", [{"If_None_Match": "*"}, {"If_Match": '"0"'}, {"If_Match": 'W/"{}"'}])
def test_another_version_is_not_replaced(server, condition):
    saved = server.save("a", drawn(3))
    condition = {name: value.format(saved.etag.strip('"')) for name, value in condition.items()}
    before = kept(server)
    refused = server.save("a", drawn(4), **condition)
    assert (refused.status, refused.json["code"]) == (412, "label-changed")
    assert refused.etag == saved.etag
    assert refused.json["user"] is None  # without authentication
    assert datetime.fromisoformat(refused.json["time"]).tzinfo
    assert refused.detail
    np.testing.assert_array_equal(server.get(LABEL).labels, drawn(3))
    assert kept(server) == before
    # Once its client has seen the other one, it can save over it; the other one is kept.
    content = server.get("/datastore/label", label="a", tag="final").body
    assert server.save("a", drawn(4), If_Match=refused.etag).status == 200
    assert content in kept(server)


def test_a_deleted_label_is_reported(server):
    saved = server.save("a", drawn(5))
    server.ask("DELETE", "/datastore/label?id=a&tag=final")
    refused = server.save("a", drawn(6), If_Match=saved.etag)
    assert (refused.status, refused.etag, refused.json["time"]) == (412, None, None)
    assert server.save("a", drawn(6), If_None_Match="*").status == 200


def test_a_label_that_another_program_replaced_is_reported(server):
    saved = server.save("a", drawn(7))
    file = server.studies / "labels" / "final" / "a.png"
    (server.studies / ".part").write_bytes(png(drawn(8)))
    (server.studies / ".part").rename(file)
    refused = server.save("a", drawn(9), If_Match=saved.etag)
    assert (refused.status, refused.json["user"]) == (412, None)
    np.testing.assert_array_equal(server.get(LABEL).labels, drawn(8))


def test_the_version_of_a_label_that_cannot_be_shown_is_known(server):
    server.save("a", drawn(10))
    (server.studies / "labels" / "final" / "a.png").write_bytes(b"nothing")
    unfit = server.get(LABEL)
    assert (unfit.status, unfit.json["code"]) == (400, "not-a-label-map")
    assert server.save("a", drawn(11), If_Match=unfit.etag).status == 200
    assert b"nothing" in kept(server)


def test_a_save_whose_answer_was_lost_can_be_repeated(server):
    first = server.save("a", drawn(12), If_None_Match="*")
    before = kept(server)
    again = server.save("a", drawn(12), If_None_Match="*")
    assert (again.status, again.etag) == (200, first.etag)
    assert kept(server) == before


@pytest.mark.parametrize("begun", [False, True], ids=["new", "replaced"])
def test_of_two_that_save_at_once_one_wins(server, begun):
    opened = server.save("a", drawn(20)).etag if begun else None
    condition = {"If_Match": opened} if begun else {"If_None_Match": "*"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: server.save("a", drawn(30 + number), **condition), range(8)))
    statuses = [answer.status for answer in answers]
    assert sorted(statuses) == [200] + 7 * [412]
    np.testing.assert_array_equal(server.get(LABEL).labels, drawn(30 + statuses.index(200)))


def test_a_client_that_states_no_version_replaces_any_and_the_label_is_kept(server):
    server.save("a", drawn(40))
    content = server.get("/datastore/label", label="a", tag="final").body
    assert server.save("a", drawn(41)).status == 200
    assert content in kept(server)
