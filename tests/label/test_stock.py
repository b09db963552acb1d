# SPDX-License-Identifier: Apache-2.0
"""The packed bundle in MONAI Label's own `monaibundle` app, and what that app gets wrong."""

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

# As `monailabel start_server`, but for torchvision (see there), and with no other lungseg than that of the bundle.
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
    prefix = python.parents[1]
    shutil.copytree(prefix / "monailabel" / "sample-apps" / "monaibundle", app, dirs_exist_ok=True)
    pack(app / "bundle.zip")
    with zipfile.ZipFile(app / "bundle.zip") as archive:
        archive.extractall(app / "model")
    server = LabelServer(studies)
    operators = ROOT / "workflows" / "label" / "torchvision_operators.py"
    arguments = ["start_server", "--app", app, "--studies", studies, "--host", "127.0.0.1", "--port", server.port]
    arguments += ["--conf", "models", MODEL, "--conf", "sam2", "false"]
    server.command = [str(part) for part in (python, "-c", START, operators, *arguments)]
    server.environment |= {"MONAI_ZOO_SOURCE": "ngc", "MONAI_LABEL_DATASTORE_FILE_EXT": '["*.png"]'}
    server.ready = "/info/"
    # Python would find the package in the folder that it is started from.
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


def test_there_a_png_comes_back_as_a_column_of_zeros(stock, radiograph):
    """Which is why PNG files need `result_extension` there, and not in our app."""
    answer = stock.infer("chest", device="cpu")
    assert answer.status == 200
    labels = answer.labels
    assert labels.shape != radiograph.shape
    assert not labels.any()


def test_there_an_id_may_be_the_path_of_any_file(stock, tmp_path, radiograph):
    secret = tmp_path / "elsewhere.png"
    Image.fromarray(radiograph).save(secret)
    assert stock.infer(str(secret), "json", device="cpu").status == 200


def test_there_pages_of_all_servers_may_ask(stock):
    assert stock.ask("GET", "/info/", Origin="http://elsewhere.example").status == 200


def test_there_an_unknown_model_is_an_error_of_the_server(stock):
    assert stock.form("POST", "/infer/other", image="chest").status == 500
