# SPDX-License-Identifier: Apache-2.0
"""The files of a run, written by an Ignite engine that does nothing."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine

from lungseg.training.checkpoint import RunCheckpoint
from lungseg.utils.errors import LungsegError


def trainer() -> Engine:
    return Engine(lambda engine, batch: [{"loss": 0.5}])


def test_weights_that_no_training_wrote_are_kept(tmp_path):
    network = torch.nn.Linear(1, 1)
    (tmp_path / "model.pt").write_bytes(b"shipped")
    for _ in range(2):
        engine = trainer()
        RunCheckpoint(tmp_path / "out", {"network": network}, network, ckpt_dir=tmp_path).attach(engine)
        engine.run([0], max_epochs=1)
    assert (tmp_path / "model_before_training.pt").read_bytes() == b"shipped"
    assert torch.load(tmp_path / "model.pt", weights_only=True).keys() == network.state_dict().keys()
    assert {file.name for file in tmp_path.glob("*.pt")} == {"model.pt", "last.pt", "model_before_training.pt"}
    assert (tmp_path / "out" / "history.json").is_file()


@pytest.mark.parametrize(("content", "code"), [(None, "no-run"), (b"cut", "checkpoint-damaged")])
def test_a_checkpoint_that_cannot_be_resumed(tmp_path, content, code):
    if content:
        (tmp_path / "last.pt").write_bytes(content)
    network = torch.nn.Linear(1, 1)
    engine = trainer()
    RunCheckpoint(tmp_path, {"network": network}, network, resume=True).attach(engine)
    with pytest.raises(LungsegError) as error:
        engine.run([0], max_epochs=1)
    assert error.value.code == code
