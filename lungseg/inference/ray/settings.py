# SPDX-License-Identifier: Apache-2.0
"""Everything that the rows of a run depend on besides the radiographs."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lungseg.inference.predictor import Predictor
    from lungseg.inference.workers import Job


def settings_hash(job: Job, predictor: Predictor) -> str:
    """Return a hash of the settings: rows that were made with the same ones need not be made again."""
    facts = predictor.identity() | {"strict": job.strict}
    if "crop" in job.kinds:
        facts["crop_margin"] = job.crop_margin
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
