# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-subclassing-any=False
"""Active-learning strategies: which study to annotate next."""

from __future__ import annotations

import random
import time
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from lungseg.workflows.label.tasks.scoring import Scoring

# A study that one client was given is not offered to others for this time, in seconds.
_RESERVED = 600


def strategies(scoring: Scoring) -> dict[str, Strategy]:
    """Return the strategies by name; clients offer the first one by default."""
    return {"lowest-quality": LowestQuality(scoring), "random": Random()}


class LowestQuality(Strategy):
    """Choose the study with the lowest estimated quality; studies without an estimate come last.

    Args:
        scoring: has the estimates.
    """

    def __init__(self, scoring: Scoring) -> None:
        super().__init__("The study with the lowest estimated quality")
        self.scoring = scoring

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, str] | None:
        """Return {"id": study}, or None if all studies are labelled."""
        names, findings = _candidates(request, datastore), self.scoring.findings()
        return {"id": min(names, key=lambda name: (_quality(findings.get(name)), name))} if names else None


class Random(Strategy):
    """Choose any study that no other client was given; MONAI Label's own strategy does not consider the others."""

    def __init__(self) -> None:
        super().__init__("Any study")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, str] | None:
        """Return {"id": study}, or None if all studies are labelled."""
        names = _candidates(request, datastore)
        return {"id": random.choice(names)} if names else None


def _quality(finding: dict[str, Any] | None) -> float:
    """Return the estimated Dice, or a higher number if there is no estimate."""
    quality = None if finding is None else finding.get("quality")
    return 2.0 if quality is None else float(quality)


def _candidates(request: dict[str, Any], datastore: Datastore) -> list[str]:
    """Return the studies without a label, and those that another client was given only if no others are left."""
    client, now = request.get("client_id"), time.time()
    free: list[str] = []
    reserved: list[str] = []
    for name in sorted(datastore.get_unlabeled_images()):
        given = datastore.get_image_info(name).get("strategy", {}).values()
        taken = any(one.get("client_id") != client and now - one.get("ts", 0) < _RESERVED for one in given)
        (reserved if taken else free).append(name)
    return free or reserved
