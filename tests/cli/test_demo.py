# SPDX-License-Identifier: Apache-2.0
"""`lungseg demo` shows the life of the bundle, with nothing to download."""

from __future__ import annotations

import pytest
from PIL import Image

from lungseg.cli.demo import real_radiograph

pytestmark = pytest.mark.slow


def test_the_demo_prints_its_table_and_leaves_its_pictures(process, tmp_path):
    done = process("demo", "--output", "shown", cwd=tmp_path)
    assert done.status == 0, done.err
    table = done.out[done.out.rindex("segmented ") :].splitlines()
    shown = tmp_path / "shown"
    expected = (
        ("segmented ", "4 of 4 ok" if real_radiograph() else "3 of 3 ok", "shown/segmented/overlays"),
        ("trained a small network on phantoms", "validation IoU 0.", "shown/run/curves.png"),
        ("evaluated it on ", "mean IoU 0.", "shown/evaluation/index.html"),
    )
    for line, (what, result, picture) in zip(table, expected, strict=False):
        assert line.startswith(what)
        assert result in line
        assert line.endswith(picture)
        assert (tmp_path / picture).exists()
    iou = float(table[2].split("mean IoU ")[1].split()[0])
    assert iou > 0.6, table
    overlays = list((shown / "segmented" / "overlays").iterdir())
    assert len(overlays) == (4 if real_radiograph() else 3)
    for path in (*overlays, shown / "run" / "curves.png"):
        with Image.open(path) as image:
            image.verify()
    assert "Traceback" not in done.err


def test_the_demo_does_not_replace_a_folder_of_something_else(command, tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    done = command("demo", "--output", tmp_path)
    assert done.status == 2
    assert f"{tmp_path}: " in done.sentence
    assert "--output" in done.sentence
    assert (tmp_path / "mine.txt").read_text() == "keep me"
