# SPDX-License-Identifier: Apache-2.0
"""An option that a command does not have shows how that command is used, and what does the same."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--learning-rate", "0.1"), "--learning-rate: did you mean --lr 0.1, or --config learning_rate=0.1"),
        (("--weight-decay", "1e-5"), "--weight-decay: did you mean --config optimizer#weight_decay=1e-05"),
        (("--patience=5",), "--patience: did you mean --config patience=5"),
        (("--num-workers", "4"), "did you mean --workers 4"),
        (("--max-epochs", "9"), "did you mean --epochs 9, or --config epochs=9"),
        (("--betas", "[0.9, 0.99]"), "did you mean --config 'optimizer#betas=[0.9,0.99]'"),
        (("--pin-memory",), "--config train#dataloader#pin_memory=true"),
        (("--bach-size", "4"), "did you mean --batch-size 4"),
        (("--weight_decai", "-1"), "did you mean --config optimizer#weight_decay=-1"),
    ],
)
def test_train_names_the_option_or_the_item(command, words, hint):
    done = command("train", "--data", "x", *words)
    assert done.status == 2
    assert done.err.startswith("usage: lungseg train ")
    assert hint in done.err


def test_several_unknown_options_have_a_line_each(command, tmp_path):
    done = command("train", tmp_path, "--patience", 5, "--foo", "--momentum", "0.9")
    lines = done.err.splitlines()
    assert f"  did you mean --data {tmp_path}" in lines
    assert "  --patience: did you mean --config patience=5" in lines
    assert any(line.startswith("  --momentum: did you mean --config ") for line in lines)


@pytest.mark.parametrize(
    ("words", "usage", "hint"),
    [
        (("evaluate", "--threshold", "0.4"), "usage: lungseg evaluate ", "did you mean --config threshold=0.4"),
        (("evaluate", "--wieghts", "x"), "usage: lungseg evaluate ", "did you mean --weights x"),
        (("predict", "x", "-o", "y", "--thumbnails"), "usage: lungseg predict ", "did you mean --no-thumbnails"),
        (("predict", "x", "-o", "y", "--foo"), "usage: lungseg predict ", "lungseg predict --help shows the options"),
        (("deploy", "watch", "--orthanc", "u", "--setings", "f"), "usage: lungseg deploy watch ", "mean --settings f"),
    ],
)
def test_every_command_shows_its_own_usage(command, words, usage, hint):
    done = command(*words)
    assert done.status == 2
    assert done.err.startswith(usage)
    assert hint in done.err


def test_nothing_else_is_printed_in_a_process_of_its_own(process):
    done = process("train", "--data", "mine", "--weight-decay", "1e-5")
    assert done.status == 2
    assert done.out == ""
    assert done.err.startswith("usage: lungseg train ")
    assert done.err.endswith("--config optimizer#weight_decay=1e-05\n")
