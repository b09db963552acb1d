# SPDX-License-Identifier: Apache-2.0
"""Bring a workspace of version 0.3 up to date: its labels, model versions and scores are kept.

A training that 0.3 did not finish cannot be resumed, so its `lessons.json` stays as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lungseg.quality.flags import NOTES
from lungseg.workflows.label.store.json_files import read_json, write_json

SCORES = "scores.json"
_SCORES_BEFORE = "survey.json"
_FLAGS = {
    "not-chest": "not-frontal",
    "turned": "quarter-turn",
    "rotated": "tilted",
    "flipped": "mirrored-header",
    "shape": "unusual-shape",
    "contrast": "low-contrast",
    "unsure": "uncertain-border",
    "disputed": "models-disagree",
}


def migrate(workspace: Path) -> None:
    """Rewrite the files whose names or keys have changed since version 0.3; without any, do nothing.

    Raises:
        LungsegError: a file is damaged.
    """
    before, scores = workspace / _SCORES_BEFORE, workspace / SCORES
    if before.is_file():
        if not scores.is_file():
            write_json(scores, {study: _score(found) for study, found in read_json(before, {}).items()})
        before.unlink()
    for file in sorted(workspace.glob("versions/*/version.json")):
        record = read_json(file, {})
        if "original_share" in record:
            write_json(file, _record(record))


def _score(found: dict[str, Any]) -> dict[str, Any]:
    score = {key: value for key, value in found.items() if key != "thumbnail"}
    if "flags" in score:
        flags = {_FLAGS.get(name, name): reason for name, reason in score.pop("flags").items()}
        score["doubts"] = {name: reason for name, reason in flags.items() if name not in NOTES}
        score["notes"] = {name: reason for name, reason in flags.items() if name in NOTES}
    return score


def _record(record: dict[str, Any]) -> dict[str, Any]:
    renamed = {{"original_share": "replay_ratio", "original": "replay"}.get(key, key): record[key] for key in record}
    renamed["counts"] = {
        section: {"replay" if key == "original" else key: number for key, number in counts.items()}
        for section, counts in record.get("counts", {}).items()
    }
    return renamed
