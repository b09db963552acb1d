# SPDX-License-Identifier: Apache-2.0
"""What to annotate next: active-learning strategies for MONAI Label."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from lungseg.workflows.label.tasks.scoring import most_different

if TYPE_CHECKING:
    from lungseg.workflows.label.app import LungsApp

# A study that one client was given is kept from the others for so long, in seconds.
_RESERVED = 600


def strategies(app: LungsApp) -> dict[str, Strategy]:
    """Return the strategies by name; the first one is what clients offer first."""
    return {"unsure": LowestQuality(app), "different": Different(app), "random": Random()}


class LowestQuality(Strategy):
    """The study whose estimated quality is lowest, of those that are looked at; before that, any.

    Args:
        app: has the survey.
    """

    def __init__(self, app: LungsApp) -> None:
        super().__init__("The study that the model is least sure of")
        self.app = app

    def __call__(self, request: dict, datastore: Datastore) -> dict | None:
        """Return {"id": study}, or None when all are labelled."""
        names, findings = _candidates(request, datastore), self.app.survey.findings()
        return {"id": min(names, key=lambda name: (_quality(findings.get(name)), name))} if names else None


class Different(Strategy):
    """The study that looks least like any that has a label; as long as there is none, the most usual one.

    Args:
        app: has the survey.
    """

    def __init__(self, app: LungsApp) -> None:
        super().__init__("The study that differs most from the labelled ones")
        self.app = app

    def __call__(self, request: dict, datastore: Datastore) -> dict | None:
        """Return {"id": study}, or None when all are labelled."""
        names = _candidates(request, datastore)
        if not names:
            return None
        known = {name: seen for name in names if (seen := self.app.survey.descriptor(name)) is not None}
        if not known:
            return {"id": names[0]}
        labelled = [
            seen for name in datastore.get_labeled_images() if (seen := self.app.survey.descriptor(name)) is not None
        ]
        return {"id": most_different(known, labelled)}


class Random(Strategy):
    """Any study; MONAI Label's own hands out those that others have, and fails where all were given just now."""

    def __init__(self) -> None:
        super().__init__("Any study")

    def __call__(self, request: dict, datastore: Datastore) -> dict | None:
        """Return {"id": study}, or None when all are labelled."""
        names = _candidates(request, datastore)
        return {"id": random.choice(names)} if names else None


def _quality(finding: dict | None) -> float:
    """Return the estimated Dice; above all where a study was not looked at or cannot be segmented."""
    return 2.0 if finding is None or finding.get("quality") is None else finding["quality"]


def _candidates(request: dict, datastore: Datastore) -> list[str]:
    """Return the studies without a label; those that another client was just given only where no other is left."""
    client, now = request.get("client_id"), time.time()
    free, reserved = [], []
    for name in sorted(datastore.get_unlabeled_images()):
        given = datastore.get_image_info(name).get("strategy", {}).values()
        taken = any(one.get("client_id") != client and now - one.get("ts", 0) < _RESERVED for one in given)
        (reserved if taken else free).append(name)
    return free or reserved
