# SPDX-License-Identifier: Apache-2.0
"""Segment radiographs as the bundle's `inference.json` defines."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose
from numpy.typing import NDArray

from lungseg.data.image_reader import from_monai
from lungseg.inference.cardiothoracic import CardiothoracicRatio, find_cardiothoracic_ratio, find_profiles
from lungseg.inference.choices import CROP_MARGIN, CTR_CHOICES, EXTENTS
from lungseg.inference.crop import Box, Crop, crop_to, lung_box
from lungseg.inference.devices import choose_device, stack_on
from lungseg.inference.inputs import Source, check_is_file, check_is_several, load, name_of, radiograph_of
from lungseg.inference.measurements import full_measurements, measurements
from lungseg.inference.memory import check_memory
from lungseg.inference.orientation import Orientation, best
from lungseg.inference.zones import zone_measurements
from lungseg.io.overlay import Line
from lungseg.io.polygons import Polygon, find_polygons
from lungseg.io.radiograph import Radiograph
from lungseg.io.reading import read_radiograph
from lungseg.model.backends import make_backend
from lungseg.model.bundle import Bundle
from lungseg.model.paths import bundle_root, config_file, weights_file
from lungseg.model.run_settings import model_settings
from lungseg.model.weights import load_weights_into, output_channels, weights_hash
from lungseg.report.table import CROP_COLUMNS, Row
from lungseg.transforms.native import find_place
from lungseg.transforms.regions import HEART, label_map
from lungseg.utils.errors import LungsegError, UsageError, as_lungseg_error, find_lungseg_error
from lungseg.version import __version__

# The named groups of transforms in `inference.json`. A file becomes an image (1, W, H) ("load"), then the network's
# input (1, w, h) ("prepare"); logits become probabilities (2, w, h), or (3, w, h) with the heart, then regions and a
# label map (1, W, H). "enlarge" makes probabilities of full size, where these are asked for.
_GROUPS = ("load", "prepare", "probabilities", "enlarge", "regions", "labels")
# A GPU computes many windows at a time; on a CPU they would only wait for each other.
_BATCH_SIZE = {"cuda": 8}
_JUDGED = ("quality", "quality_lower", "doubts", "notes")
# Output channels of a network that knows the heart: background, right lung, left lung, heart.
_WITH_HEART = 4
# The interval of the cardiothoracic ratio is found on about as many rows.
_CTR_SIDE = 512
# The notes for which it is withheld.
_AGAINST_CTR = ("tilted", "cropped", "one-lung", "opaque-lung")
_NOT_MEASURED = (
    "file",
    "status",
    "reason",
    "code",
    "name",
    "spacing_kind",
    *CROP_COLUMNS,
    "ctr_note",
    *_JUDGED,
    "seconds",
)
_MEASUREMENTS = tuple(field.name for field in fields(Row) if field.name not in _NOT_MEASURED)


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The lungs of one radiograph.

    Attributes:
        labels: (H, W) uint8 of the radiograph's own size: 0 background, 1 right lung, 2 left lung, to the extent that
            the predictor was asked for; 3 heart if it was asked for.
        regions: (H, W) uint8, everything that was found as a bit field, see :class:`lungseg.transforms.AsRegionsd`.
        extent: "visible" or "full": that of `labels` and `mask`.
        shows_heart: whether the predictor was asked to label the heart.
        knows_heart: whether the network finds the heart, and with it the full extent of the lungs.
        cardiothoracic_ratio: None if it was not asked for, or there is no heart, or not both lungs.
        orientation: how the picture is turned and whether it is inverted, as far as its result is better for it.
        radiograph: the pixels and the facts that were read.
        seconds: duration of each stage: "read", "prepare", "network", "finish".
        weights: the file of the network's weights.
        quality: estimate of the Dice of the lungs' union, 0 to 1; None if the bundle estimates none.
        quality_lower: lower bound of the Dice, meant to hold for nine in ten radiographs; None if it is not known.
        notes: facts about the picture, which may be true of a perfect result: short name -> sentence.
        doubts: reasons to expect a poor result: short name -> sentence.
        compute_probabilities: see `probabilities`.
    """

    labels: NDArray[np.uint8]
    regions: NDArray[np.uint8]
    extent: str
    shows_heart: bool
    knows_heart: bool
    cardiothoracic_ratio: CardiothoracicRatio | None
    orientation: Orientation
    radiograph: Radiograph
    seconds: dict[str, float]
    weights: Path
    quality: float | None
    quality_lower: float | None
    notes: dict[str, str]
    doubts: dict[str, str]
    compute_probabilities: Callable[[], NDArray[np.float32]]

    def __repr__(self) -> str:
        height, width = self.labels.shape
        doubts = ", ".join(self.doubts) or "none"
        return f"<Prediction: {width} x {height} pixels, quality {self.quality}, doubts: {doubts}>"

    def __getstate__(self) -> dict[str, Any]:
        """Leave the networks behind: another process gets the probabilities only if they were computed before."""
        return vars(self) | {"compute_probabilities": _refuse_probabilities}

    @property
    def flags(self) -> dict[str, str]:
        """Doubts and notes together: short name -> sentence."""
        return self.doubts | self.notes

    @property
    def judgement(self) -> dict[str, Any]:
        """`quality`, `quality_lower`, `doubts` and `notes` by name, as JSON can hold them."""
        return {name: getattr(self, name) for name in _JUDGED}

    @property
    def mask(self) -> NDArray[np.uint8]:
        """The union of both lungs: (H, W) uint8, 0 or 255."""
        # np.where takes ten times as long.
        mask: NDArray[np.uint8] = (label_map(self.regions, self.extent) > 0).view(np.uint8) * np.uint8(255)
        return mask

    @property
    def heart(self) -> NDArray[np.bool_] | None:
        """The heart: (H, W) bool; None if the network does not know it."""
        return (self.regions & HEART) > 0 if self.knows_heart else None

    @property
    def shown_heart(self) -> NDArray[np.bool_] | None:
        """The heart if the predictor was asked to show it in its results: (H, W) bool, else None."""
        return self.heart if self.shows_heart else None

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines of the cardiothoracic ratio; none if there is no ratio or it is withheld."""
        return self.cardiothoracic_ratio.lines if self.cardiothoracic_ratio else ()

    def label_map(self, extent: str = "visible", heart: bool = False) -> NDArray[np.uint8]:
        """Return a label map of either extent: (H, W) uint8, 0 background, 1 right lung, 2 left lung.

        Args:
            extent: "visible" or "full".
            heart: label the heart, with 3, where no lung of this extent lies.

        Raises:
            UsageError: there is no such extent, or the network does not know the heart.
        """
        _check_extent(extent, heart, self.knows_heart, self.weights)
        labels: NDArray[np.uint8] = label_map(self.regions, extent, heart)
        return labels

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Probabilities (2, H, W) of the right and the left lung, or (3, H, W) with the heart: float32, 0 to 1.

        The lungs are those to the full extent if the network knows the heart. Computed on first use.
        """
        return self.compute_probabilities()

    @property
    def spacing(self) -> tuple[float, float] | None:
        """(row, column) millimetres per pixel; None if it is not known."""
        return self.radiograph.spacing

    @property
    def structures(self) -> dict[str, NDArray[np.bool_]]:
        """Name -> (H, W) bool: "right lung", "left lung" of the extent that was asked for, and "heart" if it was."""
        lungs = self.label_map(self.extent)
        found: dict[str, NDArray[np.bool_]] = {"right lung": lungs == 1, "left lung": lungs == 2}
        return found if self.shown_heart is None else found | {"heart": self.shown_heart}

    def polygons(self) -> dict[str, list[Polygon]]:
        """Return the outlines of each of the `structures`, see :func:`lungseg.io.polygons.find_polygons`."""
        return {name: find_polygons(region) for name, region in self.structures.items()}

    def crop_box(self, margin: float = CROP_MARGIN) -> Box:
        """Return where `crop` cuts: first column, first row, width and height, in pixels of the radiograph.

        Raises:
            UsageError: the margin is not a number from 0 to 1.
            LungsegError: no lung was found.
        """
        return lung_box(self.label_map(self.extent), margin)

    def crop(self, margin: float = CROP_MARGIN) -> Crop:
        """Return the part of the radiograph that holds its lungs, of the extent that was asked for.

        It is not turned, so that its box is one of the file's picture; bright is dense.

        Args:
            margin: see :func:`lungseg.inference.crop.lung_box`.

        Raises:
            UsageError: the margin is not a number from 0 to 1.
            LungsegError: no lung was found.
        """
        return crop_to(self.crop_box(margin), self.radiograph.pixels, self.orientation.inverted)

    @cached_property
    def measurements(self) -> dict[str, int | float | None]:
        """Areas, boxes, widths, zones and ratios, by the report's columns; None for those that are not known."""
        visible = self.label_map()
        found = dict.fromkeys(_MEASUREMENTS) | measurements(visible, self.spacing)
        found |= zone_measurements(visible, self.radiograph.pixels, self.spacing, self.orientation.quarter_turns)
        if self.heart is not None:
            found |= full_measurements(self.regions, self.spacing)
        if ratio := self.cardiothoracic_ratio:
            found |= {"ctr": ratio.value, "ctr_low": ratio.low, "ctr_high": ratio.high}
        return found


def _check_extent(extent: str, heart: bool, knows_heart: bool, weights: Path) -> None:
    _check_choice("extent", extent, EXTENTS)
    if (heart or extent == "full") and not knows_heart:
        raise UsageError(
            "these weights do not know the heart, and know one extent of the lungs only",
            weights,
            "use other weights, or ask neither for the heart nor for the full extent",
            code="weights-without-heart",
        )


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        what = f"{name} cannot be {value!r}"
        raise UsageError(what, remedy=f"use one of {', '.join(choices)}", code="unknown-choice")


def _refuse_probabilities() -> NDArray[np.float32]:
    raise LungsegError(
        "this copy of a prediction has no probabilities",
        remedy="read them once before the prediction goes to another process",
        code="probabilities-not-kept",
    )


@dataclass(frozen=True)
class Prepared:
    """A radiograph on its way to the network.

    Attributes:
        image: (1, w, h) float32 MetaTensor at the network's resolution; it records the transforms.
        radiograph: the pixels and the facts that were read.
        seconds: duration of each stage so far.
    """

    image: MetaTensor
    radiograph: Radiograph
    seconds: dict[str, float]


class _Segmented(NamedTuple):
    """A segmented alternative of a picture: the network's input and output, and probabilities with their judgement."""

    image: MetaTensor
    logits: torch.Tensor
    data: dict[str, Any]


class Predictor:
    """Segment radiographs as `inference.json` defines, without its saving to files.

    Args:
        weights: see :func:`lungseg.model.paths.weights_file`.
        device: see :func:`choose_device`.
        precision: of the network, see :func:`lungseg.model.backends.make_backend`.
        keep_probabilities: predictions carry the lungs' probabilities, which take four times the radiograph's memory,
            instead of computing them again when they are asked for.
        extent: of the lungs in label maps and masks: "visible", without the lung behind heart, mediastinum and
            diaphragm, or "full", with the lung behind the heart.
        heart: label the heart, with 3, in label maps.
        ctr: when to give the cardiothoracic ratio: "auto" withholds it where it is not reliable, "always" or "never".
        bundle: a bundle to run instead of this package's bundle and `weights`, see :func:`lungseg.model.open_bundle`.
        trust: the config beside the weights may run code, as a program of the run's author would.

    Raises:
        UsageError: the device or the precision is not supported here, an argument is not known, or the heart or the
            full extent is asked of weights that do not know the heart.
        LungsegError: the weights are missing, damaged, or another network's; their config would run code
            (config-runs-code); or the bundle's config has not the groups of transforms that this version needs.
    """

    def __init__(
        self,
        weights: str | PathLike[str] | None = None,
        device: str = "auto",
        precision: str = "fp32",
        keep_probabilities: bool = False,
        bundle: Bundle | None = None,
        *,
        extent: str = "visible",
        heart: bool = False,
        ctr: str = "auto",
        trust: bool = False,
    ) -> None:
        self.weights = bundle.weights if bundle else weights_file(weights)
        self.device = choose_device(device)
        parser = ConfigParser()
        parser.read_config(bundle.config if bundle else str(config_file("inference")))
        parser["bundle_root"] = str(bundle.root if bundle else bundle_root())
        parser["weights"] = str(self.weights)
        self._settings = model_settings(self.weights, trust or (bundle is not None and bundle.trusted))
        for key, value in self._settings.items():
            parser[key] = value
        if not (bundle and bundle.network):
            channels = output_channels(self.weights)
            if "network_def::out_channels" in parser and channels in (_WITH_HEART - 1, _WITH_HEART):
                parser["network_def::out_channels"] = channels
        self.knows_heart = parser.get("network_def::out_channels") == _WITH_HEART
        _check_choice("ctr", ctr, CTR_CHOICES)
        _check_extent(extent, heart, self.knows_heart, self.weights)
        self.extent, self.shows_heart, self.ctr = extent, heart, ctr
        parser["extent"], parser["heart"] = extent, heart
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
        # The package's own group does as `load`, whose radiograph need not be made from MONAI's picture again.
        self._loads_otherwise = parser["load"] != _own_config()["load"]
        self.backend = make_backend(self.network, self.device, precision)
        self.computed = {"precision": precision, "extent": extent, "heart": heart, "ctr": ctr}
        self.inferer = parser.get_parsed_content("inferer")
        self.keep_probabilities = keep_probabilities

    def check_knows_heart(self) -> None:
        """Check that the network finds the heart, and with it the full extent of the lungs.

        Raises:
            UsageError: it does not.
        """
        _check_extent(self.extent, True, self.knows_heart, self.weights)

    def identity(self) -> dict[str, Any]:
        """Return everything that the results depend on except the input and, in the last bit, the device: for JSON."""
        models = sorted((bundle_root() / "models").glob("*.pt"))
        return {
            "lungseg": __version__,
            "weights": weights_hash(self.weights),
            "models": {file.name: weights_hash(file) for file in models},
            "config": _own_config() | self._settings,
            **self.computed,
        }

    def predict(self, source: Source) -> Prediction:
        """Segment one radiograph.

        Args:
            source: a path, a binary file object, a NumPy array (H, W) of grey values in which bright is dense, a Pillow
                image, a pydicom Dataset or a Radiograph.

        Raises:
            TypeError: the input is of another type.
            LungsegError: the input cannot be used as a radiograph.
        """
        return next(self.predict_many([source]))

    @overload
    def predict_many(
        self, sources: Iterable[Source], *, batch_size: int | None = None, on_error: Literal["raise"] = "raise"
    ) -> Iterator[Prediction]: ...

    @overload
    def predict_many(
        self, sources: Iterable[Source], *, batch_size: int | None = None, on_error: Literal["yield"]
    ) -> Iterator[Prediction | LungsegError]: ...

    def predict_many(
        self,
        sources: Iterable[Source],
        *,
        batch_size: int | None = None,
        on_error: Literal["raise", "yield"] = "raise",
    ) -> Iterator[Prediction] | Iterator[Prediction | LungsegError]:
        """Segment radiographs one after the other, in their order; only one batch of them is in memory.

        Args:
            sources: see `predict`; a generator is read a batch at a time.
            batch_size: images of one size in a batch go through the network together, which can change the last bits of
                probabilities; the default is 1 on a CPU, 8 on a GPU.
            on_error: "raise" an error when its radiograph is reached, which ends the iteration, or "yield" it in the
                place of the prediction.

        Raises:
            TypeError: `sources` is a single radiograph, or one of them is of a type that is not supported.
            UsageError: another argument cannot be used.
        """
        check_is_several(sources)
        if on_error not in ("raise", "yield"):
            what = f"on_error cannot be {on_error!r}"
            raise UsageError(what, remedy="use 'raise' or 'yield'", code="unknown-choice")
        size = _BATCH_SIZE.get(self.device.type, 1) if batch_size is None else batch_size
        if size < 1:
            raise UsageError(f"batch_size cannot be {size}", remedy="use 1 or more", code="batch-size-too-small")
        return self._predict_many(iter(sources), size, on_error == "yield")

    def _predict_many(self, sources: Iterator[Source], batch_size: int, yield_errors: bool) -> Iterator[Any]:
        while chunk := list(islice(sources, batch_size)):
            batch: list[Prepared | LungsegError] = []
            for source in chunk:
                try:
                    batch.append(self.prepare(source))
                except LungsegError as error:
                    batch.append(error)
                    if not yield_errors:
                        break
            del chunk
            yield from self._finish_batch(batch, yield_errors)

    def _finish_batch(self, batch: list[Prepared | LungsegError], yield_errors: bool) -> Iterator[Any]:
        prepared = [item for item in batch if isinstance(item, Prepared)]
        began = time.perf_counter()
        logits = iter(self.run(prepared))
        seconds = (time.perf_counter() - began) / max(1, len(prepared))
        for item in batch:
            if isinstance(item, Prepared):
                item.seconds["network"] = seconds
                yield self.finish(item, next(logits))
            elif yield_errors:
                yield item
            else:
                raise item

    @torch.inference_mode()
    def prepare(self, source: Source) -> Prepared:
        """Read a radiograph and make the network's input. May be called from several threads, as `finish` may.

        Raises:
            TypeError: the input is of a type that is not supported.
            LungsegError: the input cannot be used as a radiograph.
        """
        clock = [time.perf_counter()]
        stored, radiograph = self._load(source)
        clock.append(time.perf_counter())
        image = self.groups["prepare"]({"image": stored})["image"]
        clock.append(time.perf_counter())
        check_memory(radiograph.pixels.size, name_of(source))
        return Prepared(image, radiograph, dict(zip(("read", "prepare"), np.diff(clock).tolist(), strict=True)))

    def _load(self, source: Source) -> tuple[MetaTensor, Radiograph]:
        """Return a radiograph as the config's group `load` does, and as it was read."""
        if not isinstance(source, str | PathLike):
            radiograph = radiograph_of(source)
            return load(radiograph, name_of(source)), radiograph
        check_is_file(source)
        if not self._loads_otherwise:
            path = os.path.expanduser(source)
            radiograph = read_radiograph(path)
            return load(radiograph, path), radiograph
        try:
            stored = self.groups["load"]({"image": os.fspath(source)})["image"]
        except RuntimeError as error:
            raise find_lungseg_error(error) or as_lungseg_error(error, "the file cannot be read", source) from error
        return stored, from_monai(stored.as_tensor()[0], stored.meta)

    @torch.inference_mode()
    def run(self, batch: Sequence[Prepared]) -> list[torch.Tensor]:
        """Return the network's logits of each image: (3, w, h), or (4, w, h) with the heart.

        Images of one size go through the network together.
        """
        sizes: dict[torch.Size, list[int]] = {}
        for index, prepared in enumerate(batch):
            sizes.setdefault(prepared.image.shape, []).append(index)
        logits: dict[int, torch.Tensor] = {}
        for indices in sizes.values():
            images = stack_on(self.device, [batch[index].image.as_tensor() for index in indices])
            logits |= zip(indices, self.inferer(images, self.backend), strict=True)
        return [logits[index] for index in range(len(batch))]

    @torch.inference_mode()
    def finish(self, prepared: Prepared, logits: torch.Tensor) -> Prediction:
        """Turn logits (3, w, h) or (4, w, h) into regions and labels of the radiograph's own size.

        Where a turn or an inversion of the picture is suspected, this segments the alternatives too and keeps the best.
        """
        began = time.perf_counter()
        first = _Segmented(prepared.image, logits, self._compute_probabilities(prepared.image, logits))
        image, logits, data = best(first, lambda one: one.data, partial(self._segment_as, prepared))
        compute: Callable[[], NDArray[np.float32]]
        if self.keep_probabilities:
            enlarged: Any = self._enlarge(data).cpu()
            compute = partial(_rows_in_view, enlarged)
        else:
            # A copy, not a view of its whole batch; not in a GPU's memory.
            compute = partial(self._recompute_probabilities, image, logits.to("cpu", copy=True))
        found = self.groups["regions"](data)
        regions = _rows_first(found["pred"])
        doubts, notes = data.get("doubts", {}), data.get("notes", {})
        ratio = None
        if self.ctr != "never" and len(data["pred"]) == _WITH_HEART - 1:
            step = max(1, min(regions.shape) // _CTR_SIDE)
            against = doubts | {name: notes[name] for name in _AGAINST_CTR if name in notes}
            profiles = partial(self._profiles, data, step)
            ratio = find_cardiothoracic_ratio(regions, profiles, prepared.radiograph, against, self.ctr == "always")
        return Prediction(
            labels=_rows_first(self.groups["labels"](found)["pred"]),
            regions=regions,
            extent=self.extent,
            shows_heart=self.shows_heart,
            knows_heart=self.knows_heart,
            cardiothoracic_ratio=ratio,
            orientation=Orientation(image.meta.get("quarter_turns", 0), image.meta.get("inverted", False)),
            radiograph=prepared.radiograph,
            seconds=prepared.seconds | {"finish": time.perf_counter() - began},
            weights=self.weights,
            quality=data.get("quality"),
            quality_lower=data.get("quality_lower"),
            doubts=doubts,
            notes=notes,
            compute_probabilities=compute,
        )

    def _segment_as(self, prepared: Prepared, orientation: Orientation) -> _Segmented:
        """Segment a radiograph as if its picture were turned and inverted so."""
        stored = load(prepared.radiograph, str(prepared.image.meta["filename_or_obj"]))
        stored.meta |= orientation._asdict()
        image = self.groups["prepare"]({"image": stored})["image"]
        (logits,) = self.run([replace(prepared, image=image)])
        return _Segmented(image, logits, self._compute_probabilities(image, logits))

    def _compute_probabilities(self, image: MetaTensor, logits: torch.Tensor) -> dict[str, Any]:
        """Return "pred", the probabilities (2|3, w, h) at the network's size, with everything that judges them."""
        return dict(self.groups["probabilities"]({"image": image, "pred": logits}))

    def _enlarge(self, data: Mapping[str, Any]) -> MetaTensor:
        """Return the probabilities (2|3, W, H) at full size."""
        enlarged: MetaTensor = self.groups["enlarge"](data)["pred"]
        return enlarged

    def _profiles(self, data: Mapping[str, Any], step: int, axis: int) -> NDArray[np.float32]:
        """Return the highest probabilities in every `step`-th column, or row; see `find_cardiothoracic_ratio`."""
        if place := find_place(data["image"]):
            return place.profiles(data["pred"], step, axis)
        return find_profiles(_rows_in_view(self._enlarge(data))[:, ::step, ::step], axis)

    @torch.inference_mode()
    def _recompute_probabilities(self, image: MetaTensor, logits: torch.Tensor) -> NDArray[np.float32]:
        return _rows_in_view(self._enlarge(self._compute_probabilities(image, logits.to(self.device))))


def _own_config() -> dict[str, Any]:
    """Return the package's own `inference.json`."""
    config: dict[str, Any] = json.loads(config_file("inference").read_text("utf-8"))
    return config


def _rows_in_view(values: MetaTensor) -> NDArray[Any]:
    """Return (C, W, H) as an array (C, H, W), transposed in name alone, which costs nothing."""
    return values.as_tensor().mT.cpu().numpy()


def _rows_first(values: MetaTensor) -> NDArray[np.uint8]:
    """Return (1, W, H) as an array (H, W) whose rows are contiguous, for drawing and measuring."""
    return values.as_tensor()[0].T.contiguous().cpu().numpy()
