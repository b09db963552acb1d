# SPDX-License-Identifier: Apache-2.0
"""Weights from a stranger: a file that holds a pickle with code is refused, and its code does not run."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self):
        return Path.touch, (self.made,)


@pytest.fixture(params=["zip", "old format", "plain pickle"])
def weights(request, tmp_path) -> Path:
    file, payload = tmp_path / "weights.pt", {"weight": torch.zeros(3), "more": Payload(tmp_path / "made")}
    if request.param == "plain pickle":
        file.write_bytes(pickle.dumps(payload))
    else:
        torch.save(payload, file, _use_new_zipfile_serialization=request.param == "zip")
    return file


@pytest.mark.safety("pickle")
@pytest.mark.parametrize("use", ["predict", "evaluate", "train"])
def test_weights_from_a_stranger_run_no_code(command, begin, dataset, picture, tmp_path, weights, use):
    if use == "predict":
        done = command("predict", picture, "-o", tmp_path / "out", "--weights", weights)
    elif use == "evaluate":
        done = command("evaluate", "--data", dataset, "--output", tmp_path / "out", "--weights", weights)
    else:
        done = begin(dataset, "--init", weights)
    assert done.status == 1
    assert f"{weights}: " in done.sentence
    assert not (tmp_path / "made").exists()


def test_the_payload_is_one(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "made")))
    assert (tmp_path / "made").exists()
