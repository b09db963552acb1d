# SPDX-License-Identifier: Apache-2.0
"""Train the bundle's network."""

from lungseg.utils.imports import lazy_exports

__all__ = [
    "EarlyStop",
    "EpochSeeder",
    "LungHeartLoss",
    "ProgressBar",
    "ResumableEMA",
    "RunCheckpoint",
    "TrainingInferer",
    "per_lung",
    "per_visible_lung",
    "union",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "LungHeartLoss": "losses",
        "TrainingInferer": "inferers",
        "EarlyStop": "handlers",
        "EpochSeeder": "handlers",
        "ProgressBar": "handlers",
        "ResumableEMA": "handlers",
        "RunCheckpoint": "handlers",
        "per_lung": "comparison",
        "per_visible_lung": "comparison",
        "union": "comparison",
    },
)
