# SPDX-License-Identifier: Apache-2.0
"""`PYTHON pspnet.py INPUTS OUTPUT`: TorchXRayVision's PSPNet of 14 structures, with random weights.

It runs in an environment of its own, without this package. The weights are drawn, not downloaded: the masks mean
nothing, but take as long as real ones. The steps are those of the package's notebook `scripts/segmentation.ipynb`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image


def import_torchxrayvision():
    """Import the package, also where torchvision was built for another PyTorch.

    It needs nothing of torchvision that was compiled, but without the compiled part torchvision is not importable until
    the names of its operators are declared.
    """
    try:
        import torchvision
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        # It declares them as long as it is referenced.
        declared = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision

        torchvision.declared = declared
    import torchxrayvision

    return torchxrayvision


def random_network(package) -> torch.nn.Module:
    """Return the PSPNet, which reads its weights from a file, with weights drawn at random."""
    from torchxrayvision.baseline_models.chestx_det.ptsemseg.pspnet import pspnet

    network = package.baseline_models.chestx_det.PSPNet
    weights = {f"module.{name}": value for name, value in pspnet(len(network.targets)).state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        torch.save(weights, Path(folder, "pspnet_chestxray_best_model_4.pth"))
        return network(cache_dir=folder)


def segment(inputs: Path, output: Path) -> None:
    """Write a mask of 0 and 255 for each PNG file of a folder into `output`/masks."""
    package = import_torchxrayvision()
    masks = output / "masks"
    masks.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = random_network(package).to(device).eval()
    lungs = [index for index, name in enumerate(network.targets) if name.endswith("Lung")]
    crop, resize = package.datasets.XRayCenterCrop(), package.datasets.XRayResizer(512)
    for path in sorted(inputs.glob("*.png")):
        picture = package.utils.load_image(str(path))
        image = torch.from_numpy(resize(crop(picture)))
        with torch.inference_mode():
            found = network(image[None].to(device))[0, lungs].sigmoid() > 0.5
        mask = Image.fromarray(255 * found.any(0).cpu().numpy().astype(np.uint8))
        mask.resize(picture.shape[2:0:-1], Image.Resampling.NEAREST).save(masks / path.name)


if __name__ == "__main__":
    if sys.argv[1:] == ["--version"]:
        print(import_torchxrayvision().__version__)
    else:
        segment(*map(Path, sys.argv[1:]))
