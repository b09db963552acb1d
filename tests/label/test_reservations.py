# SPDX-License-Identifier: Apache-2.0
"""The next study is reserved for one client, for a stated time that the client renews."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from label_support import LabelServer, require_environment

from lungseg.data import phantom
from lungseg.io import write_png
from lungseg.workflows.label.store.reservations import DURATION, Client, Reservations

ANN, BOB = Client("ann", "1"), Client("bob", "1")
NAMES = ("a", "b", "c", "d")
STRATEGIES = ("lowest-quality", "random")
pytestmark = pytest.mark.safety("same-study-twice")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def reservations(clock):
    return Reservations(clock=clock)


def test_a_study_is_held_until_its_time_is_over(reservations, clock):
    assert reservations.take("a", ANN) == ANN
    clock.now += DURATION - 1
    assert reservations.take("a", BOB) == ANN
    assert reservations.of_others(BOB) == {"a": ANN}
    clock.now += 1
    assert reservations.of_others(BOB) == {}
    assert reservations.take("a", BOB) == BOB
    assert reservations.take("a", ANN) == BOB


def test_a_reservation_that_is_renewed_goes_on(reservations, clock):
    for _ in range(5):
        assert reservations.take("a", ANN) == ANN
        clock.now += DURATION - 1
    assert reservations.take("a", BOB) == ANN


def test_a_client_holds_one_study(reservations):
    reservations.take("a", ANN)
    reservations.take("b", ANN)
    assert reservations.of_others(BOB) == {"b": ANN}
    reservations.take("b", BOB)  # refused
    assert reservations.take_first(lambda: ["b", "a"], BOB) == "a"
    assert reservations.take_first(lambda: ["a", "b"], ANN) == "b"


def test_only_its_client_ends_a_reservation(reservations):
    reservations.take("a", ANN)
    reservations.release("a", BOB)
    assert reservations.of_others(BOB) == {"a": ANN}
    reservations.release("a", ANN)
    reservations.release("a", ANN)
    assert reservations.of_others(BOB) == {}


def test_a_client_without_a_free_study_keeps_its_own(reservations):
    reservations.take("a", ANN)
    reservations.take("b", BOB)
    assert reservations.take_first(lambda: ["b"], ANN) is None
    assert reservations.of_others(BOB) == {"a": ANN}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    require_environment()
    folder = tmp_path_factory.mktemp("shared") / "studies"
    for number, name in enumerate(NAMES):
        write_png(folder / f"{name}.png", phantom((12, number), (96, 72))[0])
    with LabelServer(folder) as running:
        running.wait_until_scored()
        yield running


def ask(server, client: str, strategy: str = "lowest-quality", **params: str) -> dict:
    answer = server.post(f"/activelearning/{strategy}", {"client_id": client, **params})
    assert answer.status == 200
    return answer.json


def reserve(server, study: str, client: str, method: str = "PUT"):
    return server.ask(method, f"/lungseg/studies/{study}/reservation?client_id={client}")


@pytest.fixture
def clients(server):
    """Five clients, one more than there are studies; their reservations are given back."""
    names = [f"client-{number}" for number in range(5)]
    yield names
    for client in (*names, ""):
        for study in NAMES:
            reserve(server, study, client, "DELETE")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_clients_that_ask_at_once_get_different_studies_until_none_is_left(server, clients, strategy):
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda client: ask(server, client, strategy), clients))
    assert sorted(answer["id"] for answer in answers if "id" in answer) == list(NAMES)
    (without,) = [answer for answer in answers if "id" not in answer]
    assert without["code"] == "all-reserved"
    assert "10 minutes" in without["detail"]
    # The client of MONAI Label asks again and has the same study.
    holder = clients[[answer.get("id") for answer in answers].index("a")]
    assert ask(server, holder, strategy)["id"] == "a"
    # Once it leaves the study, another gets it.
    assert reserve(server, "a", holder, "DELETE").status == 200
    assert ask(server, clients[answers.index(without)], strategy)["id"] == "a"


def test_a_client_that_has_a_study_open_gets_another(server, clients):
    first = ask(server, "client-0")["id"]
    second = ask(server, "client-0", skip=first)["id"]
    assert second != first
    assert ask(server, "client-1")["id"] == first  # it was left


def test_the_list_shows_the_studies_of_others(server, clients):
    def shown(client: str) -> dict:
        return {one["id"]: one["reserved_by"] for one in server.get("/lungseg/studies", client_id=client).json}

    answer = reserve(server, "b", "client-0")
    assert (answer.status, answer.json) == (200, {"reserved_by": None, "seconds": DURATION})
    assert reserve(server, "b", "client-1").json["reserved_by"] == "another annotator"
    assert shown("client-0") == dict.fromkeys(NAMES)
    assert shown("client-1") == dict.fromkeys(NAMES) | {"b": "another annotator"}
    assert shown("") == shown("client-1")


def test_only_studies_are_reserved(server):
    assert reserve(server, "other", "client-0").status == 404
    assert reserve(server, "..%2Fa", "client-0").status == 404
    assert reserve(server, "a", 65 * "x").status == 422


def test_without_a_study_the_reason_is_stated(tmp_path):
    require_environment()
    pixels, labels = phantom((12, 9), (96, 72))
    write_png(tmp_path / "one.png", pixels)
    (tmp_path / "torn.png").write_bytes((tmp_path / "one.png").read_bytes()[:200])
    with LabelServer(tmp_path) as server:
        server.wait(lambda: any(one["error"] for one in server.get("/lungseg/studies").json))
        assert ask(server, "one")["id"] == "one"
        assert ask(server, "one", skip="one")["code"] == "all-unreadable"
        assert ask(server, "two")["code"] == "all-reserved"
        assert server.save("one", labels).status == 200
        assert ask(server, "two")["code"] == "all-unreadable"
        server.ask("DELETE", "/datastore/image?id=torn")
        assert ask(server, "two")["code"] == "all-labelled"
