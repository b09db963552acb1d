# SPDX-License-Identifier: Apache-2.0
"""What the tests of bad input share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_support import TINY


@pytest.fixture
def picture(dataset) -> Path:
    """A radiograph of the data set."""
    return dataset / "CXR_png" / "phantom_0001.png"


@pytest.fixture
def own(dataset, tmp_path) -> Path:
    """A copy of the data set, to spoil."""
    return Path(shutil.copytree(dataset, tmp_path / "own data"))


@pytest.fixture
def begin(command, tmp_path):
    """Start a short training: `begin(data, *arguments)`; its overrides can be extended with `config=`."""

    def call(data: Path, *arguments: object, config: tuple[str, ...] = ()):
        start = ("train", "--data", data, "--output", tmp_path / "run", "--epochs", 1)
        return command(*start, *arguments, "--config", *TINY, *config)

    return call
