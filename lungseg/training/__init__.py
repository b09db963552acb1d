# SPDX-License-Identifier: Apache-2.0
"""Train the bundle's network."""

from lungseg.utils.imports import lazy_exports

__all__ = [
    "Announcement",
    "EarlyStop",
    "EpochSeeder",
    "LungHeartLoss",
    "ProgressLines",
    "ResumableEMA",
    "RunCheckpoint",
    "TrainingInferer",
    "ValidationLoss",
    "ValidationPictures",
    "per_lung",
    "per_visible_lung",
    "union",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "LungHeartLoss": "losses",
        "TrainingInferer": "inferers",
        "Announcement": "announce",
        "EarlyStop": "stopping",
        "EpochSeeder": "seeding",
        "ProgressLines": "progress",
        "ResumableEMA": "averaging",
        "RunCheckpoint": "checkpoint",
        "ValidationLoss": "validation_loss",
        "ValidationPictures": "pictures",
        "per_lung": "comparison",
        "per_visible_lung": "comparison",
        "union": "comparison",
    },
)
