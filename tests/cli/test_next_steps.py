# SPDX-License-Identifier: Apache-2.0
"""The commands that a training prints at its end can be pasted."""

from __future__ import annotations

import json
import shlex

import pytest
from command_support import TINY


def printed_commands(out: str) -> list[list[str]]:
    return [shlex.split(line) for line in out.splitlines() if line.startswith("lungseg ")]


@pytest.mark.slow
def test_the_commands_that_come_next_run(command, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = command("train", "--data", dataset, "--epochs", 1, "-o", "my run", "--config", *TINY)
    assert first.status == 0, first.err
    commands = printed_commands(first.out)
    assert [name for _, name, *_ in commands] == ["evaluate", "predict", "train"]
    for _, *arguments in commands:
        done = command(*arguments)
        assert done.status == 0, done.err
    for file in ("evaluation/index.html", "predicted/report.html"):
        assert (tmp_path / "my run" / file).is_file()
    config = json.loads((tmp_path / "my run-2" / "config.json").read_text())
    assert config["init"] == str(tmp_path / "my run" / "model.pt")


def test_options_of_the_data_are_repeated(tmp_path):
    from lungseg.cli.next_steps import next_steps
    from lungseg.data import write_phantoms
    from lungseg.data.splits import write_split
    from lungseg.model.config import read_config
    from lungseg.model.paths import config_file

    data = write_phantoms(tmp_path / "two folders", 6, size=(64, 64))
    run = tmp_path / "run"
    names = sorted(path.stem for path in (data / "CXR_png").iterdir())
    write_split(run / "splits.json", {"train": names[:4], "validation": names[4:], "test": []}, seed=0)
    settings = {
        "dataset_dir": None,
        "data_source#images": str(data / "CXR_png"),
        "data_source#masks": str(data / "masks"),
        "data_source#sets": ["other"],
        "data_source#extent": "full",
        "network_def": {"_target_": "SegResNet", "spatial_dims": 2, "out_channels": 3},
    }
    config = read_config([config_file("train")], settings)
    evaluate, predict, train = (shlex.split(one) for one in next_steps(str(run), config))
    for part in (["--images", str(data / "CXR_png")], ["--masks", str(data / "masks")], ["--datasets", "other"]):
        for line in (evaluate, train):
            assert part == line[line.index(part[0]) : line.index(part[0]) + 2]
    assert "--data" not in evaluate
    # There is no test list.
    assert evaluate[evaluate.index("--split") + 1] == "validation"
    assert "data_source#extent=full" in evaluate
    assert predict[2] == str(data / "CXR_png")
    assert json.loads(train[-1].removeprefix("network_def=")) == settings["network_def"]
