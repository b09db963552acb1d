# SPDX-License-Identifier: Apache-2.0
"""The bundle's own inference config, run over radiographs: what the command line and the apps call."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose

from lungseg.inference.devices import choose_device
from lungseg.io import Radiograph
from lungseg.model.backends import make_backend
from lungseg.model.bundle import Bundle
from lungseg.model.paths import bundle_root, config_file, weights_file
from lungseg.model.run_settings import model_settings
from lungseg.model.weights import load_weights_into, weights_hash
from lungseg.quality.transform import EstimateQualityd
from lungseg.utils.errors import LungsegError, find_lungseg_error
from lungseg.version import __version__

# The named groups of transforms in `inference.json`. A file becomes an image (1, W, H) ("load"), then the network's
# input (1, w, h) ("prepare"); logits become probabilities (2, W, H) and then a label map (1, W, H).
_GROUPS = ("load", "prepare", "probabilities", "labels")


@dataclass(frozen=True)
class Prediction:
    """The lungs of one radiograph.

    Attributes:
        labels: (H, W) uint8 of the radiograph's own size: 0 background, 1 right lung, 2 left lung.
        radiograph: what was segmented.
        seconds: what each stage took: "read", "prepare", "network", "finish".
        weights: the file of the weights that found them.
        quality: estimate of the Dice of the lungs' union, 0 to 1; None where none was made.
        flags: what is doubtful: short name -> reason in words.
        probabilities: (2, H, W) float32 of the right and the left lung, 0 to 1, where the predictor keeps them.
    """

    labels: np.ndarray
    radiograph: Radiograph
    seconds: dict[str, float]
    weights: Path
    quality: float | None = None
    flags: dict[str, str] = field(default_factory=dict)
    probabilities: np.ndarray | None = None

    @property
    def mask(self) -> np.ndarray:
        """The union of both lungs: (H, W) uint8, 0 or 255."""
        # np.where takes ten times as long.
        return (self.labels > 0).view(np.uint8) * np.uint8(255)


@dataclass(frozen=True)
class Prepared:
    """A radiograph on its way to the network.

    Attributes:
        image: (1, w, h) float32 MetaTensor at the network's resolution; it remembers what was done to it.
        radiograph: what was read.
        seconds: what each stage took so far.
    """

    image: MetaTensor
    radiograph: Radiograph
    seconds: dict[str, float]


class Predictor:
    """Segment radiographs as `inference.json` defines, without its saving to files.

    Args:
        weights: see :func:`lungseg.model.paths.weights_file`.
        device: see :func:`choose_device`.
        precision: of the networks, see :func:`lungseg.model.backends.make_backend`.
        keep_probabilities: predictions carry the lungs' probabilities, which take four times the radiograph's memory.
        bundle: what to run instead of this package's bundle and `weights`, see :func:`lungseg.model.open_bundle`.

    Raises:
        UsageError: the device or the precision is not supported here.
        LungsegError: the weights are missing, damaged, or another network's; or the bundle's config has not the groups
            of transforms that this version needs.
    """

    def __init__(
        self,
        weights: str | PathLike[str] | None = None,
        device: str = "auto",
        precision: str = "fp32",
        keep_probabilities: bool = False,
        bundle: Bundle | None = None,
    ) -> None:
        self.weights = bundle.weights if bundle else weights_file(weights)
        self.device = choose_device(device)
        parser = ConfigParser()
        parser.read_config(bundle.config if bundle else str(config_file("inference")))
        parser["bundle_root"] = str(bundle.root if bundle else bundle_root())
        parser["weights"] = str(self.weights)
        for key, value in model_settings(self.weights).items():
            parser[key] = value
        parser["device"] = f"$torch.device('{self.device}')"
        if missing := [name for name in _GROUPS if name not in parser]:
            raise LungsegError(
                f"the bundle's inference.json has no group of transforms named {missing[0]!r}",
                bundle.root if bundle else None,
                "use a bundle of lungseg 1.0 or later",
                code="bundle-without-groups",
            )
        if bundle and bundle.network:
            # In the memory format that the config gives its own: another one changes the sums' last bits.
            given: Any = bundle.network
            parser["network"] = given.to(self.device, memory_format=torch.channels_last)
        try:
            self.network = parser.get_parsed_content("network").eval()
            if not (bundle and bundle.network):
                load_weights_into(self.network, self.weights)
            self.groups = {name: Compose(parser.get_parsed_content(name)) for name in _GROUPS}
        except RuntimeError as error:
            raise find_lungseg_error(error) or error from None
        self.backend = make_backend(self.network, self.device, precision)
        self.computed = {"precision": precision}
        self.inferer = parser.get_parsed_content("inferer")
        self.keep_probabilities = keep_probabilities
        estimates = [step for step in self.groups["probabilities"].transforms if isinstance(step, EstimateQualityd)]
        self.second = estimates[0].estimator.second if estimates else None
        if self.second and self.device.type == "cpu":
            self.second.use(precision)

    def identity(self) -> dict[str, Any]:
        """Return everything that the results depend on except the input and, in the last bit, the device: for JSON."""
        models = sorted((bundle_root() / "models").glob("*.pt"))
        return {
            "lungseg": __version__,
            "weights": weights_hash(self.weights),
            "models": {file.name: weights_hash(file) for file in models},
            "config": json.loads(config_file("inference").read_text("utf-8")) | model_settings(self.weights),
            **self.computed,
        }

    def predict(self, path: str | PathLike) -> Prediction:
        """Segment one file: prepare, run, finish.

        Raises:
            LungsegError: the file is no radiograph that can be read.
        """
        prepared = self.prepare(path)
        began = time.perf_counter()
        (logits,) = self.run([prepared])
        prepared.seconds["network"] = time.perf_counter() - began
        return self.finish(prepared, logits)

    @torch.inference_mode()
    def prepare(self, path: str | PathLike) -> Prepared:
        """Read a file and make it what the network sees. May be called from several threads, as `finish` may.

        Raises:
            TypeError: `path` is no path, but an array, for instance.
            LungsegError: the file is no radiograph that can be read.
        """
        clock = [time.perf_counter()]
        try:
            data = self.groups["load"]({"image": os.fspath(path)})
        except RuntimeError as error:
            raise find_lungseg_error(error) or LungsegError("the file cannot be read", path, "check it") from error
        stored = data["image"]
        clock.append(time.perf_counter())
        image = self.groups["prepare"](data)["image"]
        clock.append(time.perf_counter())
        spacing = tuple(float(mm) for mm in stored.meta["spacing"])
        radiograph = Radiograph(
            # Row after row, which drawing wants; PyTorch goes about it in blocks.
            pixels=stored.as_tensor()[0].T.contiguous().numpy(),
            spacing=None if np.isnan(spacing).any() else spacing,
            spacing_kind=stored.meta["spacing_kind"],
            view=stored.meta["view"] or None,
            flipped=stored.meta["flipped"],
        )
        return Prepared(image, radiograph, dict(zip(("read", "prepare"), np.diff(clock).tolist(), strict=True)))

    @torch.inference_mode()
    def run(self, batch: Sequence[Prepared]) -> list[torch.Tensor]:
        """Return the network's logits (3, w, h) of each image; images of one size go through it together."""
        sizes: dict[torch.Size, list[int]] = {}
        for index, prepared in enumerate(batch):
            sizes.setdefault(prepared.image.shape, []).append(index)
        logits: dict[int, torch.Tensor] = {}
        for indices in sizes.values():
            images = torch.stack([batch[index].image.as_tensor() for index in indices])
            logits |= zip(indices, self.inferer(images.to(self.device), self.backend), strict=True)
        return [logits[index] for index in range(len(batch))]

    @torch.inference_mode()
    def finish(self, prepared: Prepared, logits: torch.Tensor) -> Prediction:
        """Turn logits (3, w, h) into a label map of the radiograph's own size."""
        began = time.perf_counter()
        data = self.groups["probabilities"]({"image": prepared.image, "pred": logits})
        # Transposed in name alone, which costs nothing.
        probabilities = data["pred"].as_tensor().mT.cpu().numpy() if self.keep_probabilities else None
        labels = self.groups["labels"](data)["pred"][0].as_tensor().T.contiguous().cpu().numpy()
        return Prediction(
            labels=labels,
            radiograph=prepared.radiograph,
            seconds=prepared.seconds | {"finish": time.perf_counter() - began},
            weights=self.weights,
            quality=data.get("quality"),
            flags=data.get("flags", {}),
            probabilities=probabilities,
        )
