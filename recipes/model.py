# SPDX-License-Identifier: Apache-2.0
"""`python -m recipes.model`: train on from `recipes.model_start`'s joint weights, in four long runs on a GPU.

`pack` prepares the pictures as `train.json` does and keeps them as 8-bit arrays, for a machine that has no data;
a letter is one of `RUNS`; `mean` averages their weights and those they began with, and puts the mean into the bundle.
The mean of weights that went on from one start, each in its own way, does what the mean of their predictions would,
in the time of one (model soups: Wortsman et al., 2022).
"""

from __future__ import annotations

import itertools
import json
import math
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lungseg.model.paths import bundle_root, config_file
from recipes.command import add_trial, data_folder, parser, run
from recipes.excluded_references import TRAIN
from recipes.model_start import RECIPES, log_training, save_mean

BATCH, STEPS = 32, 6800
START = "runs/both/mean.pt"
_PICTURES, _VALIDATIONS = "pictures.npz", 10


class Run(NamedTuple):
    """The settings that differ between the runs."""

    seed: int
    learning_rate: float
    changed: float  # share of pictures that get other looks; all are warped


RUNS = {"a": Run(1, 0.001, 0.5), "b": Run(2, 0.002, 0.5), "c": Run(3, 0.001, 0.25), "d": Run(4, 0.002, 0.25)}


def main(arguments: list[str] | None = None) -> None:
    """Pack, train or average."""
    options = parser("recipes.model", "Train on from the joint weights of recipes.model_start, on a GPU.")
    add_trial(options)
    options.add_argument("what", choices=["pack", *RUNS, "mean"], help="step to do; a letter is a run")
    options.add_argument("--output", default="runs/further", help="folder of the pictures and of the weights")
    options.add_argument("--init", default=START, help=f"weights to start from (default: {START})")
    options = options.parse_args(arguments)
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    if options.what == "pack":
        pack(data_folder(options), folder / _PICTURES)
    elif options.what == "mean":
        from lungseg.model.paths import weights_file
        from lungseg.model.weights import load_weights

        files = [weights_file(options.init), *(folder / f"{name}.pt" for name in RUNS)]
        save_mean([load_weights(file) for file in files], folder / "mean.pt")
        if not options.trial:
            keep(folder, options.init)
    else:
        train(folder, options.what, options.init, 2 if options.trial else STEPS)


def pack(data: str, file: Path) -> None:
    """Keep the pictures and label maps of the training and validation lists, (N, W, H) uint8, as `train.json` has them.

    The few pictures that it leaves longer than wide are squeezed into squares.
    """
    import torch
    from monai.transforms import Compose
    from torch.nn.functional import interpolate

    from lungseg.model.config import build_workflow

    settings = {"dataset_dir": data, "data_source#exclude": sorted(TRAIN), "progress": False}
    parsed = build_workflow([config_file("train")], settings, "train#deterministic_transforms").parser
    prepare, size = Compose(parsed.get_parsed_content("train#deterministic_transforms")), parsed["image_size"]
    arrays = {"image": [], "label": [], "set": [], "validates": []}
    for name in ("train", "validate"):
        for case in parsed.get_parsed_content(f"{name}#dataset#data"):
            prepared = prepare(dict(case))
            for key, mode, factor in (("image", "area", 255), ("label", "nearest", 1)):
                square = interpolate(torch.Tensor(prepared[key]).float()[None], (size, size), mode=mode)[0, 0]
                arrays[key].append((square * factor).round().byte().numpy())
            arrays["set"].append(str(case["set"]))
            arrays["validates"].append(name == "validate")
    np.savez_compressed(file, **{key: np.stack(values) for key, values in arrays.items()})


def train(folder: Path, name: str, init: str, steps: int) -> None:
    """Train one run along a cosine; write `NAME.pt`, the moving average, and `NAME.json`, its record."""
    import torch
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    from lungseg.model.config import build_workflow
    from lungseg.model.paths import weights_file
    from lungseg.model.weights import save_checkpoint

    chosen, began = RUNS[name], time.monotonic()
    parsed = build_workflow(
        [config_file("train")], {"init": str(weights_file(init)), "seed": chosen.seed}, "network"
    ).parser
    network, loss_function, device = (parsed.get_parsed_content(item) for item in ("network", "loss", "device"))
    # For speed, at the price of runs that repeat to the bit.
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    packed = np.load(folder / _PICTURES)
    pictures, labels = (torch.from_numpy(packed[key])[:, None].to(device) for key in ("image", "label"))
    pictures = (pictures / 255).half()
    trained = torch.from_numpy(~packed["validates"]).to(device)
    validated = {
        hospital: torch.from_numpy(packed["validates"] & (packed["set"] == hospital)).to(device)
        for hospital in np.unique(packed["set"][packed["validates"]]).tolist()
    }

    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.995), use_buffers=True).eval()
    optimizer = torch.optim.AdamW(network.parameters(), lr=chosen.learning_rate, weight_decay=1e-4)
    history = []
    batches = _augmented(pictures[trained], labels[trained], chosen.changed)
    for step, (x, y) in enumerate(itertools.islice(batches, steps)):
        rate = chosen.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 200)
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(x)
        loss = loss_function(logits, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average.update_parameters(network)
        if step + 1 == steps or step >= len(history) * steps / _VALIDATIONS:
            figures = {"step": step + 1, "loss": loss.item()} | _dice(
                average.module, pictures, labels, validated, parsed["threshold"]
            )
            history.append(figures)
            print(name, json.dumps(figures), flush=True)
    save_checkpoint({key: value.cpu() for key, value in average.module.state_dict().items()}, folder / f"{name}.pt")
    versions = {"device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu", "torch": torch.__version__}
    record = chosen._asdict() | versions | {"steps": steps, "seconds": round(time.monotonic() - began)}
    record["history"] = history
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1), "utf-8")


def _augmented(pictures, labels, changed: float) -> Iterator[tuple]:
    """Yield batches of pictures and label maps without end, each case once in an epoch, except for a remainder."""
    import torch

    from recipes.gpu_augmentation import change_looks, scale_percentiles, warp

    order = torch.empty(0, dtype=torch.long)
    while True:
        if len(order) < min(BATCH, len(pictures)):
            order = torch.randperm(len(pictures))
        picked, order = order[:BATCH].to(pictures.device), order[BATCH:]
        x, y = warp(pictures[picked].float(), labels[picked].float())
        yield scale_percentiles(change_looks(x, y, changed)).contiguous(memory_format=torch.channels_last), y


def keep(folder: Path, init: str) -> None:
    """Put the mean into the bundle as its joint weights, and the record of its runs into the log."""
    from lungseg.model.paths import weights_file
    from lungseg.model.weights import weights_hash

    shutil.copyfile(folder / "mean.pt", bundle_root() / "models" / RECIPES["both"].file)
    runs = {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in RUNS}
    record = {"start_sha256": weights_hash(weights_file(init)), "batch_size": BATCH, "runs": runs}
    log_training(f"{RECIPES['both'].file}, trained further", record)


def _dice(network, pictures, labels, validated: dict, threshold: float) -> dict[str, float]:
    """Mean Dice of both lungs on each validation list, at the network's resolution and without cleaning components."""
    import torch
    from monai.metrics import compute_dice

    found = {}
    for name, chosen in validated.items():
        reference = labels[chosen] > 0
        with torch.no_grad(), torch.autocast(pictures.device.type, torch.bfloat16):
            logits = network(pictures[chosen].float().contiguous(memory_format=torch.channels_last))
        lungs = 1 - logits.float().softmax(1)[:, :1] > threshold
        found[name] = round(compute_dice(lungs.float(), reference.float()).mean().item(), 4)
    return found


if __name__ == "__main__":
    sys.exit(run(main))
