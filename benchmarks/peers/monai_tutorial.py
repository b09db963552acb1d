# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.peers.monai_tutorial INPUTS OUTPUT`: plain MONAI, as in its tutorial on 2-D segmentation.

The steps are those of `2d_segmentation/torch/unet_evaluation_dict.py` in the repository Project-MONAI/tutorials, with
its DataLoader of four processes. The network is this bundle's, so that the masks are lungs. With `--side 256` each
picture is shrunk to the size on which the network was trained, and the result is put back.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, decollate_batch
from monai.inferers import sliding_window_inference
from monai.transforms import (
    AsDiscreted,
    Compose,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    Resized,
    SaveImaged,
    ScaleIntensityd,
)

from lungseg.model.paths import config_file, weights_file

_WINDOW = (256, 256)
# Both as in the tutorial.
_WINDOWS_AT_A_TIME, _LOADERS = 4, 4


class VisibleLungs(torch.nn.Module):
    """The bundle's network with one output channel, as the tutorial's: (B, 1, w, h) probability of visible lung."""

    def __init__(self) -> None:
        super().__init__()
        config = ConfigParser()
        config.read_config(str(config_file("inference")))
        self.network = config.get_parsed_content("network_def")
        self.network.load_state_dict(torch.load(weights_file(), map_location="cpu", weights_only=True))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.network(images)
        lungs = logits[:, :3].softmax(1)[:, 1:].sum(1, keepdim=True)
        return lungs * (1 - logits[:, 3:].sigmoid())


def segment(inputs: Path, output: Path, side: int | None = None, loaders: int = _LOADERS) -> None:
    """Write a mask of 0 and 255 for each PNG file of a folder into `output`/masks.

    Args:
        inputs: folder of PNG files.
        output: folder.
        side: shrink each picture to side x side pixels first; None lets windows slide over the picture itself.
        loaders: processes that read and prepare.
    """
    steps = [LoadImaged(keys="img"), EnsureChannelFirstd(keys="img"), ScaleIntensityd(keys="img")]
    finish = [
        AsDiscreted(keys="pred", threshold=0.5),
        SaveImaged(
            keys="pred",
            output_dir=output / "masks",
            output_postfix="",
            output_ext=".png",
            output_dtype=torch.uint8,
            scale=255,
            resample=False,
            separate_folder=False,
            print_log=False,
        ),
    ]
    if side:
        steps.append(Resized(keys="img", spatial_size=(side, side)))
    prepare = Compose(steps)
    if side:
        finish.insert(0, Invertd(keys="pred", orig_keys="img", transform=prepare, nearest_interp=False))
    save = Compose(finish)
    files = [{"img": str(path)} for path in sorted(inputs.glob("*.png"))]
    loader = DataLoader(Dataset(files, prepare), batch_size=1, num_workers=loaders)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = VisibleLungs().to(device).eval()
    with torch.no_grad():
        for batch in loader:
            images = batch["img"].to(device)
            batch["pred"] = sliding_window_inference(images, _WINDOW, _WINDOWS_AT_A_TIME, network)
            for one in decollate_batch(batch):
                save(one)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.peers.monai_tutorial", description=segment.__doc__)
    options.add_argument("inputs", type=Path)
    options.add_argument("output", type=Path)
    options.add_argument("--side", type=int)
    segment(**vars(options.parse_args()))


if __name__ == "__main__":
    main()
