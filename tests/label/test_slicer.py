# SPDX-License-Identifier: Apache-2.0
"""The calls that 3D Slicer's plugin makes, through the client that MONAI Label ships and the plugin copies."""

from __future__ import annotations

import json
import subprocess
from urllib.parse import quote

import numpy as np
from label_support import MODEL, require_environment
from PIL import Image

# The calls of the plugin between "Next Sample" and "Submit Label", in its order.
CALLS = """
import json, sys
from monailabel.client import MONAILabelClient
url, model, out = sys.argv[1:]
client = MONAILabelClient(url)
result = {"auth": client.auth_enabled(), "info": client.info()}
result["sample"] = client.next_sample("lowest-quality", {"client_id": "slicer"})
image = result["sample"]["id"]
file, result["inferred"] = client.infer(model, image, {"result_extension": ".nii.gz"})
result["saved"] = client.save_label(image, file, "slicer", {"label_info": [{"name": "right_lung", "idx": 1}]})
result["listed"] = client.datastore()["objects"][image]["labels"]
result["label"] = client.download_label(image, "slicer")
print("\\n" + json.dumps(result))
"""


def test_the_plugins_calls(label_server, tmp_path):
    python = require_environment()
    done = subprocess.run(
        [python, "-c", CALLS, label_server.url, MODEL, tmp_path], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["auth"] is False
    assert result["info"]["labels"] == ["right_lung", "left_lung"]
    assert list(result["info"]["models"]) == list(result["info"]["trainers"]) == [MODEL]
    assert set(result["info"]["strategies"]) == {"lowest-quality", "random"}
    study = result["sample"]["id"]
    assert result["saved"] == {"image": study, "label": study}
    assert result["inferred"]["label_names"] == {"right_lung": 1, "left_lung": 2}
    assert "slicer" in result["listed"]
    label_server.ask("DELETE", f"/lungseg/studies/{quote(study)}/reservation?client_id=slicer")
    drawn = label_server.infer(study, result_extension=".png").labels
    np.testing.assert_array_equal(np.asarray(Image.open(result["label"])), drawn)
