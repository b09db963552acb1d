# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-subclassing-any=False
"""Active-learning strategies: which study to annotate next. The study is reserved for the client that asked."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from lungseg.workflows.label.store.reservations import Reservations
from lungseg.workflows.label.tasks.scoring import Scoring

# Sorts the studies, the preferred one first.
_Order = Callable[[list[str], dict[str, dict[str, Any]]], list[str]]


def strategies(scoring: Scoring, reservations: Reservations) -> dict[str, Strategy]:
    """Return the strategies by name; clients offer the first one by default."""
    return {
        "lowest-quality": NextStudy("The study with the lowest estimated quality", _worst_first, scoring, reservations),
        "random": NextStudy("Any study", _shuffled, scoring, reservations),
    }


class NextStudy(Strategy):
    """Choose a study without a label that can be read and that no other client holds, and reserve it.

    Args:
        description: for people.
        order: sorts the studies.
        scoring: has the estimates, and knows which studies cannot be read.
        reservations: get the chosen study.
    """

    def __init__(self, description: str, order: _Order, scoring: Scoring, reservations: Reservations) -> None:
        super().__init__(description)
        self.order, self.scoring, self.reservations = order, scoring, reservations

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, str] | None:
        """Return {"id": study}, or None if there is none; see :func:`why_none`.

        Args:
            request: `client` asks (a :class:`Client`); `skip` is the study that it has open, if any.
            datastore: has the studies.
        """
        findings = self.scoring.findings()

        def candidates() -> list[str]:
            return self.order(_readable(_unlabelled(request.get("skip"), datastore), findings), findings)

        chosen = self.reservations.take_first(candidates, request["client"])
        return None if chosen is None else {"id": chosen}


def why_none(skip: str | None, datastore: Datastore, scoring: Scoring, duration: float) -> dict[str, str]:
    """Return why no study was chosen, as a sentence (`detail`) and a `code`.

    Args:
        skip: the study that the client has open, if any.
        datastore, scoring: as the strategies have them.
        duration: of a reservation, in seconds.
    """
    left, other = _unlabelled(skip, datastore), "other " if skip else ""
    if not left:
        return {"detail": f"all {other}studies have a label.", "code": "all-labelled"}
    if not _readable(left, scoring.findings()):
        what = f"no {other}study without a label can be read; the list of studies has the reasons."
        return {"detail": what, "code": "all-unreadable"}
    what = f"others are annotating all {other}studies without a label; try again later. A study is offered again when"
    what += f" its annotator leaves it or has not used it for {round(duration / 60)} minutes."
    return {"detail": what, "code": "all-reserved"}


def _worst_first(names: list[str], findings: dict[str, dict[str, Any]]) -> list[str]:
    """Sort by the estimated Dice; studies without an estimate come last."""

    def quality(name: str) -> float:
        found = findings.get(name, {}).get("quality")
        return 2.0 if found is None else float(found)

    return sorted(names, key=lambda name: (quality(name), name))


def _shuffled(names: list[str], findings: dict[str, dict[str, Any]]) -> list[str]:
    return random.sample(names, len(names))


def _unlabelled(skip: str | None, datastore: Datastore) -> list[str]:
    return [name for name in datastore.get_unlabeled_images() if name != skip]


def _readable(names: list[str], findings: dict[str, dict[str, Any]]) -> list[str]:
    return [name for name in names if "error" not in findings.get(name, {})]
