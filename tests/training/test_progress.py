# SPDX-License-Identifier: Apache-2.0
"""What a training shows and keeps in `train.log`, on Ignite engines that do nothing, and on a small run."""

from __future__ import annotations

import json

from command_support import TINY
from ignite.engine import Engine

from lungseg.training.progress import ProgressLines


def trainer() -> Engine:
    return Engine(lambda engine, batch: [{"loss": 0.5}])


def messages(caplog) -> list[str]:
    return [record.message for record in caplog.records if record.name.startswith("lungseg")]


def test_a_line_an_epoch(caplog, capsys):
    caplog.set_level("INFO", "lungseg")
    engine = trainer()
    ProgressLines().attach(engine)
    engine.run([0, 1], max_epochs=3)
    assert [message.split("  ")[0] for message in messages(caplog)] == [f"epoch {epoch}/3" for epoch in (1, 2, 3)]
    assert messages(caplog)[0].endswith(" left")
    assert messages(caplog)[-1].endswith(" s")
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_bars_too(monkeypatch, capsys, caplog):
    caplog.set_level("INFO", "lungseg")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    engine = trainer()
    ProgressLines().attach(engine)
    engine.run([0, 1], max_epochs=2)
    assert "Epoch [2/2]" in capsys.readouterr().err
    assert len(messages(caplog)) == 2


def test_nothing_is_shown_on_request_but_kept(caplog, capsys, tmp_path):
    caplog.set_level("INFO", "lungseg")
    engine = trainer()
    ProgressLines(output_dir=tmp_path, show=False).attach(engine)
    engine.run([0], max_epochs=1)
    assert not messages(caplog)
    assert capsys.readouterr().err == ""
    assert "epoch 1/1" in (tmp_path / "train.log").read_text()


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("Training on", "epoch ", "Best ", "No epoch"))]


def train(command, dataset, output, *more, config=TINY[:-1]):
    done = command("train", "--data", dataset, "-o", output, *more, "--config", *config)
    assert done.status == 0, done.err
    history = json.loads((output / "history.json").read_text())
    return done, history, json.loads((output / "run.json").read_text())["best"]


def test_a_first_run_says_what_it_does(command, dataset, tmp_path):
    done, history, best = train(command, dataset, tmp_path / "run", "--epochs", 2)
    shown = lines(done.out)
    assert "up to 2 epochs of 2 steps, 4 steps in all" in shown[0]
    assert "--init shipped" in done.out
    assert [line.split("/")[0] for line in shown[1:4]] == ["epoch 0", "epoch 1", "epoch 2"]
    for line, entry in zip(shown[1:4], history, strict=True):
        assert f"IoU {entry['val_mean_iou']:.4f}" in line
        assert f"val loss {entry['val_loss']:.4f}" in line
    # Random weights are measured, but are never the result.
    assert best["epoch"] > 0
    assert shown[4].startswith(f"Best validation IoU: {best['val_mean_iou']:.4f} in epoch {best['epoch']}")
    assert lines((tmp_path / "run" / "train.log").read_text()) == shown


def test_fine_tuning_that_does_not_help_keeps_the_initial_weights(command, dataset, tmp_path):
    from lungseg.model.paths import bundle_root
    from lungseg.model.weights import load_weights

    output = tmp_path / "run"
    # Good weights, and a rate so high that they are destroyed: whatever the processor, no epoch is better.
    settings = ("batch_size=4", "num_workers=0", "learning_rate=10")
    done, history, best = train(command, dataset, output, "--init", "shipped", "--epochs", 2, config=settings)
    assert "--init shipped" not in done.out
    assert best == history[0]
    assert best["epoch"] == 0
    assert best["val_mean_iou"] > 0.5
    assert "No epoch was better than the initial weights" in lines(done.out)[-1]
    before, after = load_weights(bundle_root() / "models" / "model.pt"), load_weights(output / "model.pt")
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)


def test_a_quiet_run_keeps_its_lines(command, dataset, tmp_path):
    done, _, _ = train(command, dataset, tmp_path / "run", "--epochs", 1, "-q")
    assert (done.out, done.err) == ("", "")
    assert len(lines((tmp_path / "run" / "train.log").read_text())) == 4


def test_tensorboard_gets_pictures_the_right_way_up(command, dataset, run_folder, tmp_path):
    import io

    import numpy as np
    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from lungseg.io import read_radiograph
    from lungseg.io.overlay import draw_overlay

    train(command, dataset, tmp_path / "run", "--init", run_folder, "--epochs", 1)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert "learning_rate" in events.Tags()["scalars"]
    (tag,) = events.Tags()["images"]
    pictures = events.Images(tag)
    assert [picture.step for picture in pictures] == [0, 1]
    shown = np.asarray(Image.open(io.BytesIO(pictures[0].encoded_image_string)))
    (file,) = (dataset / "CXR_png").glob(f"{tag.rpartition('/')[2]}.*")
    plain = draw_overlay(pixels := read_radiograph(file).pixels, np.zeros(pixels.shape, np.uint8))
    assert shown.shape == plain.shape
    # All but outlines and letters is the radiograph itself.
    assert (shown == plain).all(-1).mean() > 0.7
