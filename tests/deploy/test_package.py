# SPDX-License-Identifier: Apache-2.0
"""What `monai-deploy package` reads says what the rest of the tree says; docker does the remainder."""

from __future__ import annotations

import configparser
import runpy
import sys
from pathlib import Path

import pytest

from lungseg.cli import main as cli
from lungseg.version import __version__

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "workflows" / "deploy"


def test_the_packager_takes_the_configuration():
    reader = pytest.importorskip("holoscan_cli.packager.config_reader", reason="the extra `deploy` is not installed")
    configuration = reader.ApplicationConfiguration()
    configuration.read(DEPLOY / "app.yaml")
    assert configuration.title() == "Lung segmentation on chest radiographs"
    assert f"version: {__version__}\n" in (DEPLOY / "app.yaml").read_text(encoding="utf-8")


def test_the_requirements_are_the_packages():
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    known = {
        line.strip().partition(">=")[0]
        for text in (setup["options"]["install_requires"], setup["options.extras_require"]["dicom"])
        for line in text.splitlines()
    }
    lines = (DEPLOY / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = {line.partition(">=")[0] for line in lines if not line.startswith("#")}
    assert wanted
    assert wanted <= known


@pytest.mark.parametrize("words", [["-i", "here"], ["-ihere"], ["--input", "here"], ["--input=here"]])
def test_the_command_line_counts_more_than_the_variables(words, monkeypatch):
    for name in ("INPUT", "OUTPUT", "MODEL"):
        monkeypatch.setenv(f"HOLOSCAN_{name}_PATH", f"-there/{name}")
    monkeypatch.setattr(sys, "argv", ["deploy", *words])
    monkeypatch.setattr(cli, "main", lambda: cli._parser().parse_args())
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(DEPLOY), run_name="__main__")
    options = stop.value.code
    assert (options.input, options.output, options.model) == ("here", "-there/OUTPUT", "-there/MODEL")
