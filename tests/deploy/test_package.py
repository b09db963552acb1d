# SPDX-License-Identifier: Apache-2.0
"""The files that `monai-deploy package` reads agree with the rest of the tree; its container starts the application."""

from __future__ import annotations

import configparser
import runpy
import sys
from pathlib import Path

import pytest
from command_support import restored_process
from packaging.version import Version

from lungseg.utils.errors import LungsegError, UsageError
from lungseg.version import __version__

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "workflows" / "deploy"


def test_the_packager_takes_the_configuration():
    reader = pytest.importorskip("holoscan_cli.packager.config_reader", reason="the extra `deploy` is not installed")
    configuration = reader.ApplicationConfiguration()
    configuration.read(DEPLOY / "app.yaml")
    assert configuration.title() == "Lung segmentation on chest radiographs"
    # The packager reads the version here even where its option --version is given.
    assert configuration._application_object["version"] == __version__


@pytest.mark.safety("package-floors")
def test_the_container_gets_no_older_packages_than_the_installation():
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    installed = lowest_versions(setup["options"]["install_requires"] + setup["options.extras_require"]["dicom"])
    packaged = lowest_versions((DEPLOY / "requirements.txt").read_text(encoding="utf-8"))
    assert packaged
    assert all(packaged[name] >= installed[name] for name in packaged)


def lowest_versions(requirements: str) -> dict[str, Version]:
    lines = (line.partition("#")[0].partition(">=") for line in requirements.splitlines())
    return {name.strip(): Version(lowest.partition(",")[0]) for name, _, lowest in lines if name.strip()}


@pytest.fixture
def start(monkeypatch):
    """Call `python workflows/deploy`, with a stand-in for the run; returns the exit status."""

    def call(run, *words: str) -> int:
        monkeypatch.setattr("lungseg.workflows.deploy.run.run", run)
        monkeypatch.setattr(sys, "argv", ["deploy", *words])
        with restored_process(), pytest.raises(SystemExit) as stop:
            runpy.run_path(str(DEPLOY), run_name="__main__")
        return stop.value.code

    return call


@pytest.mark.parametrize("words", [["-i", "here"], ["-ihere"], ["--input", "here"], ["--input=here"]])
def test_an_option_overrides_its_environment_variable(start, words, monkeypatch):
    for name in ("INPUT", "OUTPUT", "MODEL"):
        monkeypatch.setenv(f"HOLOSCAN_{name}_PATH", f"-there/{name}")
    runs = []
    assert start(lambda *arguments: len(runs.append(arguments) or runs), *words) == 1
    assert runs == [("here", "-there/OUTPUT", "-there/MODEL", "auto", None, False)]


def test_all_options_are_those_of_the_command(start, monkeypatch):
    for name in ("INPUT", "OUTPUT", "MODEL"):
        monkeypatch.delenv(f"HOLOSCAN_{name}_PATH", raising=False)
    runs = []
    words = ["-i", "in", "-o", "out", "-m", "bundle", "--device", "cpu", "--settings", "mine.yaml", "--trust"]
    assert start(lambda *arguments: runs.append(arguments) or 0, *words) == 0
    assert runs == [("in", "out", "bundle", "cpu", "mine.yaml", True)]
    assert start(lambda *arguments: 0, "-i", "in") == 2


@pytest.mark.parametrize(("error", "status"), [(UsageError, 2), (LungsegError, 1)])
def test_an_error_is_logged_and_becomes_the_exit_status(start, caplog, error, status):
    def run(*_):
        raise error("nothing to do", "here")

    assert start(run, "-i", "in", "-o", "out") == status
    assert "here: nothing to do." in caplog.text
