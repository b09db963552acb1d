# SPDX-License-Identifier: Apache-2.0
"""Changes of a config that would run code or fetch something, for the tests of every door."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Change = Callable[[dict[str, Any], str], None]


def _set(*path: str | int, value: Any) -> Change:
    """Return a change that sets an item; `MADE` in its texts is the file that the code would write."""

    def change(config: dict[str, Any], made: str) -> None:
        *above, last = path
        owner: Any = config
        for key in above:
            owner = owner[key]
        owner[last] = json.loads(json.dumps(value).replace("MADE", made))

    return change


_WRITE = "$open('MADE', 'w')"
_CALL = {"_target_": "builtins.open", "file": "MADE", "mode": "w"}

# In every config: at the top, in the network, and in what is built on the way to it.
ANYWHERE: dict[str, Change] = {
    "expression": _set("threshold", value=_WRITE),
    "expression in the network": _set("network_def", "channels", value=_WRITE),
    "expression in a list": _set("network_def", "channels", value=[4, _WRITE]),
    "expression in an argument of a layer": _set("network_def", "norm", value=["BATCH", {"eps": _WRITE}]),
    "expression after a space": _set("threshold", value=" " + _WRITE),
    "target": _set("network_def", value=_CALL),
    "target in the network": _set("network_def", "act", value=_CALL),
    "target in an argument of a layer": _set("network_def", "norm", value=["BATCH", _CALL]),
    "target that is a module of MONAI": _set("network_def", "_target_", value="monai.networks.nets.unet.torch.save"),
    "target that is not a text": _set("network_def", "_target_", value={"_target_": "UNet"}),
    "target that fetches weights": _set(
        "network_def", value={"_target_": "TorchVisionFCModel", "model_name": "resnet18", "pretrained": True}
    ),
    "target that fetches an encoder": _set(
        "network_def",
        value={"_target_": "FlexibleUNet", "in_channels": 1, "out_channels": 4, "backbone": "resnet18"},
    ),
    "requirement": _set("network_def", "_requires_", value=[_WRITE]),
    "mode": _set("network_def", "_mode_", value="debug"),
    "switch": _set("network_def", "_disabled_", value=_WRITE),
    "macro": _set("network_def", value="%MADE.json::network_def"),
    "reference": _set("network_def", value="@inferer"),
    "component in the place of a number": _set("image_size", value=_CALL),
}

# In a whole config, as bundles and runs have it.
IN_WHOLE_CONFIGS: dict[str, Change] = {
    "new item": _set("extra", value=_WRITE),
    "import": _set("imports", 0, value="$import this"),
    "added import": lambda config, made: config["imports"].append(f"$open({made!r}, 'w')"),
    "changed expression": _set("device", value="$open('MADE', 'w') and torch.device('cpu')"),
    "network as an expression": _set("network", value="$__import__('os').system('touch MADE')"),
    "id as a key": _set("network_def#act", value=_WRITE),
    "other form of an id as a key": _set("network_def::act", value=_WRITE),
    "added list": _set("+imports", value=[_WRITE]),
    "other target of ours": _set("load", 0, "_target_", value="lungseg.transforms.CLAHEd"),
    "other reader": _set("load", 0, "reader", value="subprocess.Popen"),
    "requirement of a transform": _set("load", 0, "_requires_", value=_WRITE),
    "switch of a transform": _set("prepare", -1, "_disabled_", value=_WRITE),
    "mode of a function": _set("load", 0, "_mode_", value="debug"),
    "added transform": lambda config, made: config["load"].append({"_target_": "builtins.open", "file": made}),
    "transforms as an expression": _set("load", value=_WRITE),
    "transforms from a file": _set("load", value="%MADE.json::load"),
}


def spoil(file: Path, change: Change, made: Path) -> None:
    """Change the config in `file`; its code would write the file `made`."""
    config = json.loads(file.read_text(encoding="utf-8"))
    change(config, str(made))
    file.write_text(json.dumps(config), encoding="utf-8")
