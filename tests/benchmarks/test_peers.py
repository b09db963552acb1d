# SPDX-License-Identifier: Apache-2.0
"""Other ways to segment a folder are run, watched and compared; TorchXRayVision's needs an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.peers import file_loop, measure, monai_tutorial, pictures, tables, ways
from benchmarks.peers.watch import watch
from lungseg.data import phantom
from lungseg.io import write_png
from lungseg.utils.errors import LungsegError, UsageError

# Writes a mask for each input, as a worker of its own would; the memory is that worker's.
WRITER = """
import subprocess, sys
from pathlib import Path
inputs, output, value = sys.argv[1:]
work = '''
import sys, time
from pathlib import Path
from PIL import Image
inputs, output, value = sys.argv[1:]
Path(output, "masks").mkdir(parents=True)
kept = bytearray(150_000_000)
for path in sorted(Path(inputs).iterdir()):
    time.sleep(0.3)
    Image.new("L", (8, 8), int(value)).save(Path(output, "masks", path.name))
    Path(output, path.name + ".txt").touch()
'''
sys.exit(subprocess.run([sys.executable, "-c", work, inputs, output, value]).returncode)
"""


def way(name: str, value: int, count: int, **more) -> ways.Way:
    command = (sys.executable, "-c", WRITER, "{inputs}", "{output}", str(value))
    return ways.Way(name, command, (count,), "all", "none", "no", "text", "ends", **more)


@pytest.fixture
def data(tmp_path) -> Path:
    """A data set of five pictures of different sizes."""
    (tmp_path / "data" / "CXR_png").mkdir(parents=True)
    for number in range(5):
        shape = (20 + number, 30)
        write_png(tmp_path / "data" / "CXR_png" / f"{number}.png", np.full(shape, 50 * number, np.uint8))
    return tmp_path / "data"


def test_other_ways_find_the_lungs_where_the_first_does(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(2):
        write_png(tmp_path / "in" / f"{number}.png", radiograph := phantom(number, (320, 352))[0])
    file_loop.segment(tmp_path / "in", tmp_path / "loop")
    file_loop.segment(tmp_path / "in" / "0.png", tmp_path / "one")
    monai_tutorial.segment(tmp_path / "in", tmp_path / "resized", 256, loaders=0)
    monai_tutorial.segment(tmp_path / "in", tmp_path / "windows", loaders=0)
    for name in ("loop", "one", "resized", "windows"):
        mask = np.asarray(Image.open(tmp_path / name / "masks" / "0.png"))
        assert mask.shape == radiograph.shape
        assert set(np.unique(mask)) == {0, 255}
    assert measure.agreement(tmp_path / "loop", tmp_path / "one") == 1
    assert measure.agreement(tmp_path / "loop", tmp_path / "resized") > 0.95


def test_ways_are_measured_in_turns_and_shown(data, monkeypatch):
    monkeypatch.setattr(measure, "in_a_process", lambda work: f"a {work.__name__}")
    several = (way(ways.WAYS[0].name, 255, 4), way(ways.WAYS[1].name, 255, 2), way(ways.pspnet("").name, 0, 2))
    numbers = measure.measure(several, data, (24, 48), rounds=2)
    first, second, third = numbers["measured"]
    assert [one["dice"] for one in numbers["measured"]] == [None, 1, 0]
    assert (first["count"], second["count"], first["side"], first["files"]) == (4, 2, 24, 2)
    assert third["seconds"] > third["first"] > 0.3
    assert first["per_image"] > 0.25
    assert 150e6 < first["peak_bytes"] < 600e6
    shown = tables(numbers | {"torchxrayvision": None})
    assert f"| {several[1].name} | 2 | " in shown["peers"]
    assert "a describe; computed on: a describe_device." in shown["peers"]
    assert "TorchXRayVision was not measured" in shown["peers"]
    assert shown["peers-work"].endswith(" | 2 |")
    assert "TorchXRayVision 9.9 has" in tables(numbers | {"torchxrayvision": "9.9"})["peers"]
    assert tables(None).keys() == shown.keys()


def test_a_way_that_fails_says_why(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    with pytest.raises(LungsegError, match="status 1 and 0 of 2 masks: no such luck"):
        watch(command, tmp_path, 2)


def test_the_pictures_differ_and_are_spread_over_the_data(data, tmp_path):
    chosen = pictures.choose(data, 3)
    assert [file.name for file in chosen] == ["0.png", "1.png", "3.png"]
    pictures.write(chosen, tmp_path / "in", 24)
    assert pictures.part(tmp_path / "in", 3) == tmp_path / "in"
    some = sorted(pictures.part(tmp_path / "in", 2).iterdir())
    assert [file.name for file in some] == ["0.png", "1.png"]
    assert [(np.asarray(Image.open(file)).shape, np.asarray(Image.open(file)).max()) for file in some] == [
        ((24, 24), 0),
        ((24, 24), 50),
    ]
    with pytest.raises(UsageError) as raised:
        pictures.choose(data, 6)
    assert raised.value.code == "too-few-radiographs"


def test_an_environment_without_torchxrayvision_is_refused(tmp_path):
    with pytest.raises(UsageError) as raised:
        ways.torchxrayvision_version(str(tmp_path / "python"))
    assert raised.value.code == "no-torchxrayvision"


def test_the_watching_process_shares_no_memory_of_pytorch():
    code = "import sys, benchmarks.peers; sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=pictures.__file__.rpartition("benchmarks")[0]).returncode == 0
    )
