# SPDX-License-Identifier: Apache-2.0
"""The notebook, run cell by cell, on phantoms and on radiographs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from data_support import REAL, needs_real_data
from nbclient import NotebookClient
from traitlets.config import Config

pytestmark = pytest.mark.slow

_NOTEBOOK = Path(__file__).parents[1] / "docs" / "quickstart.ipynb"


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Makes a client whose kernel shares nothing with others: files of its own, and sockets instead of free ports."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # Names of sockets must be short.
    with TemporaryDirectory(prefix="jupyter-") as folder:
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", folder)
        sockets = {"transport": "ipc", "ip": f"{folder}/socket"}
        settings = Config(KernelManager=sockets, NotebookClient={"timeout": 600, "startup_timeout": 300})
        where = {"metadata": {"path": str(tmp_path)}}
        yield lambda notebook: NotebookClient(notebook, config=settings, resources=where)


@pytest.mark.parametrize("data", [None, pytest.param(REAL, marks=needs_real_data)], ids=["phantoms", "radiographs"])
def test_quickstart_runs_from_pairing_to_segmenting(data, client, tmp_path, monkeypatch):
    if data is None:
        monkeypatch.delenv("LUNGSEG_DATA", raising=False)
    else:
        monkeypatch.setenv("LUNGSEG_DATA", str(data))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(_NOTEBOOK, as_version=4)
    # Where this takes longer than five seconds, Matplotlib says so on standard error; then it is there.
    subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], check=True, capture_output=True)
    client(notebook).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = "".join(output.get("text", "") for output in outputs)
    assert [output["text"] for output in outputs if output.get("name") == "stderr"] == []
    assert "warning" not in said.lower()
    values = [output["data"]["text/plain"] for output in outputs if "text/plain" in output.get("data", {})]
    assert ("48 images, 48 masks, 48 pairs" if data is None else "800 images, 704 masks, 704 pairs") in said
    assert "{'train': 32, 'validation': 4, 'test': 4}" in values
    assert float(said.split("dice        mean ")[1].split()[0]) > 0.8
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    assert "array([0, 1, 2], dtype=uint8)" in values
    assert len(list(tmp_path.glob("lungseg-*/out/labels/**/*.png"))) == 5
