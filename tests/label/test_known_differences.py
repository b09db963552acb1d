# SPDX-License-Identifier: Apache-2.0
"""The packed bundle in MONAI Label's own `monaibundle` app, and how that app differs from ours."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from label_support import MODEL, ROOT, LabelServer, require_environment
from PIL import Image

from lungseg.model.pack import pack

# As `monailabel start_server`, with torchvision's operators declared, and without any lungseg but the bundle's.
START = """
import runpy, sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
operators = runpy.run_path(sys.argv.pop(1))
operators["declare_operators"]()
from monailabel.main import Main
Main().run()
"""


@pytest.fixture(scope="module")
def studies(tmp_path_factory, radiograph) -> Path:
    folder = tmp_path_factory.mktemp("stock studies")
    Image.fromarray(radiograph).save(folder / "chest.png")
    return folder


@pytest.fixture(scope="module")
def stock(studies, tmp_path_factory):
    python = require_environment()
    app = tmp_path_factory.mktemp("stock app")
    shutil.copytree(python.parents[1] / "monailabel" / "sample-apps" / "monaibundle", app, dirs_exist_ok=True)
    pack(app / "bundle.zip")
    with zipfile.ZipFile(app / "bundle.zip") as archive:
        archive.extractall(app / "model")
    server = LabelServer(studies)
    operators = ROOT / "workflows" / "label" / "setup" / "torchvision_stub.py"
    arguments = ["start_server", "--app", app, "--studies", studies, "--host", "127.0.0.1", "--port", server.port]
    arguments += ["--conf", "models", MODEL, "--conf", "sam2", "false"]
    server.command = [str(part) for part in (python, "-c", START, operators, *arguments)]
    server.environment |= {"MONAI_ZOO_SOURCE": "ngc", "MONAI_LABEL_DATASTORE_FILE_EXT": '["*.png"]'}
    server.ready = "/info/"
    # Otherwise Python would find the package in the current folder.
    server.folder = app
    with server:
        yield server


def test_the_bundle_segments_there_unchanged(stock, studies, segment, radiograph, tmp_path):
    answer = stock.infer("chest", result_extension=".nii.gz", device="cpu")
    assert answer.status == 200, answer.body
    file = tmp_path / "labels.nii.gz"
    file.write_bytes(answer.body)
    labels = np.squeeze(np.asarray(nibabel.load(file).dataobj)).astype(np.uint8).T
    np.testing.assert_array_equal(labels, segment(radiograph).labels)
    assert MODEL in stock.get("/info/").json["models"]


def test_known_differences(stock, tmp_path, radiograph):
    """If this fails with a later MONAI Label, part of our app may be superfluous: see docs/label.md."""
    elsewhere = tmp_path / "elsewhere.png"
    Image.fromarray(radiograph).save(elsewhere)
    png = stock.infer("chest", device="cpu")
    foreign = stock.ask("GET", "/info/", Origin="http://elsewhere.example")
    differences = {
        "PNG needs result_extension": png.status == 200 and png.labels.shape != radiograph.shape,
        "an id can be a path": stock.infer(str(elsewhere), "json", device="cpu").status == 200,
        "other servers' pages are answered": foreign.status == 200,
        "an unknown model is a server error": stock.form("POST", "/infer/other", image="chest").status == 500,
    }
    assert all(differences.values()), differences
