# SPDX-License-Identifier: Apache-2.0
"""Forty like inputs: a few lines of each kind, a count of the others, and nothing hidden from the report."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest

from lungseg.cli.console import configure_console
from lungseg.cli.main import main
from lungseg.cli.repeats import few_of_a_kind
from lungseg.io import write_png


@pytest.fixture
def forty(tmp_path) -> Path:
    """Twenty pictures without a lung, and twenty empty files."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(20):
        write_png(folder / f"black_{number}.png", np.full((64, 64), number, np.uint8))
        (folder / f"empty_{number}.png").touch()
    return folder


def run(forty, run_folder, capsys, *options: str) -> tuple[int, list[str], list[str]]:
    """Return the exit status, and the lines of standard output and of standard error."""
    out = str(forty.parent / "out")
    status = main(["predict", str(forty), "-o", out, "--weights", str(run_folder), "--device", "cpu", *options])
    done = capsys.readouterr()
    return status, done.out.splitlines(), done.err.splitlines()


def test_three_of_a_kind_are_shown_and_the_others_counted(forty, run_folder, capsys, monkeypatch):
    monkeypatch.chdir(forty.parent)
    status, out, err = run(Path("in"), run_folder, capsys, "--save", "dicom-seg,crop")
    assert status == 1
    assert len([line for line in err if line.startswith("lungseg: failed: in/empty_")]) == 3
    assert "lungseg: failed (empty-file): and 17 more like this; see out/report.csv, or use -v." in err
    (seg,) = (line for line in err if "dicom-seg" in line)
    assert seg.startswith("lungseg: dicom-seg was not written for 20 radiographs: this is not a DICOM file")
    assert len(err) < 20
    assert "failed: 20 empty-file" in out
    assert out[-1].endswith("20 failed: open out/report.html (table: out/report.csv)")
    assert Path("out/report.html").is_file()
    with Path("out/report.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["code"] for row in rows if row["status"] == "failed"] == ["empty-file"] * 20
    assert sum("dicom-seg was not written" in row["reason"] for row in rows) == 20


def test_verbose_shows_all(forty, run_folder, capsys):
    _, _, err = run(forty, run_folder, capsys, "-v")
    assert len([line for line in err if line.startswith("lungseg: failed: ")]) == 20
    assert not [line for line in err if "more like this" in line]


def test_outputs_that_were_changed_are_counted_too(forty, run_folder, capsys):
    run(forty, run_folder, capsys)
    for file in (forty.parent / "out" / "masks").iterdir():
        file.write_bytes(b"")
    _, _, err = run(forty, run_folder, capsys)
    text = "has changed since it was written; it is written again"
    assert len([line for line in err if line.endswith(f".png {text}.")]) == 3
    assert [line for line in err if line.startswith(f"lungseg: … {text}: and 17 more like this; see ")]


def test_the_count_is_shown_when_the_work_is_stopped(capsys):
    @few_of_a_kind("report.csv")
    def work():
        for number in range(5):
            logging.getLogger("lungseg.any").warning("%s is odd.", number)
        logging.getLogger("lungseg.any").warning("only once")
        raise KeyboardInterrupt

    configure_console()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert capsys.readouterr().err.splitlines() == [
        *(f"lungseg: {number} is odd." for number in range(3)),
        "lungseg: only once",
        "lungseg: … is odd: and 2 more like this; see report.csv, or use -v.",
    ]
