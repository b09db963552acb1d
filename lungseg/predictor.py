# SPDX-License-Identifier: Apache-2.0
"""The bundle's own inference config, run over radiographs: what the command line and the apps call."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from os import PathLike

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import decollate_batch, list_data_collate

from lungseg.errors import LungsegError, UsageError, in_words
from lungseg.images import Radiograph
from lungseg.locate import bundle_root, config_file, model_settings, weights_file
from lungseg.quality import missing_lungs


@dataclass(frozen=True)
class Prediction:
    """The lungs of one radiograph.

    Attributes:
        labels: (H, W) uint8 of the radiograph's own size: 0 background, 1 right lung, 2 left lung.
        radiograph: what was segmented.
        seconds: what each stage took: "read", "prepare", "network", "finish".
        quality: estimate of the Dice of the lungs' union, 0 to 1; None where none was made.
        flags: what is doubtful: short name -> reason in words.
    """

    labels: np.ndarray
    radiograph: Radiograph
    seconds: dict[str, float]
    quality: float | None = None
    flags: dict[str, str] = field(default_factory=dict)

    @property
    def mask(self) -> np.ndarray:
        """The union of both lungs: (H, W) uint8, 0 or 255."""
        return np.where(self.labels > 0, np.uint8(255), np.uint8(0))


def choose_device(name: str) -> torch.device:
    """Return the device called `name`: "cpu", "cuda", "cuda:1" …, or "auto" for CUDA where there is one.

    Raises:
        UsageError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"there is no device called {name!r}", remedy="use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("this PyTorch finds no CUDA device", remedy="use --device cpu")
    return device


class Predictor:
    """Segments radiographs as `inference.json` says, without its saving to files.

    Args:
        weights: see :func:`lungseg.locate.weights_file`.
        device: see :func:`choose_device`.

    Raises:
        LungsegError: the weights are missing, damaged, or another network's.
    """

    def __init__(self, weights: str | PathLike | None = None, device: str = "auto") -> None:
        self.weights = weights_file(weights)
        self.device = choose_device(device)
        parser = ConfigParser()
        parser.read_config(str(config_file("inference")))
        parser["bundle_root"] = str(bundle_root())
        parser["weights"] = str(self.weights)
        for key, value in model_settings(self.weights).items():
            parser[key] = value
        parser["device"] = f"$torch.device('{self.device}')"
        finish = parser["postprocessing"]["transforms"]
        parser["postprocessing"]["transforms"] = [t for t in finish if not t["_target_"].startswith("SaveImage")]
        try:
            self.network = parser.get_parsed_content("network").eval()
        except RuntimeError as error:
            raise in_words(error) or error from None
        self.preprocessing = parser.get_parsed_content("preprocessing")
        self.inferer = parser.get_parsed_content("inferer")
        self.postprocessing = parser.get_parsed_content("postprocessing")

    @torch.inference_mode()
    def predict(self, path: str | PathLike) -> Prediction:
        """Segment one file.

        Raises:
            LungsegError: the file is no radiograph that can be read.
        """
        clock = [time.perf_counter()]
        try:
            data = self.preprocessing({"image": str(path)}, end=1)
        except RuntimeError as error:
            raise in_words(error) or LungsegError("the file cannot be read", path, "check it") from error
        stored = data["image"]
        clock.append(time.perf_counter())
        data = self.preprocessing(data, start=1)
        batch = list_data_collate([data])
        clock.append(time.perf_counter())
        batch["pred"] = self.inferer(batch["image"].to(self.device), self.network)
        clock.append(time.perf_counter())
        labels = self.postprocessing(decollate_batch(batch)[0])["pred"]
        clock.append(time.perf_counter())
        spacing = tuple(float(mm) for mm in stored.meta["spacing"])
        radiograph = Radiograph(
            pixels=stored.numpy().T,
            spacing=None if np.isnan(spacing).any() else spacing,
            spacing_kind=stored.meta["spacing_kind"],
        )
        labels = labels[0].as_tensor().T.contiguous().cpu().numpy()
        stages = ("read", "prepare", "network", "finish")
        return Prediction(
            labels=labels,
            radiograph=radiograph,
            seconds=dict(zip(stages, np.diff(clock).tolist(), strict=True)),
            flags=missing_lungs(labels),
        )
