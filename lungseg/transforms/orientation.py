# SPDX-License-Identifier: Apache-2.0
"""Turn and invert a radiograph as its metadata say, and turn its result back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import cast

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform, Rotate90
from monai.utils import convert_to_tensor


class TurnUpright(InvertibleTransform):
    """Undo the quarter turns and the inversion that the metadata state; without them, the image stays as it is.

    The metadata are `quarter_turns` (by how many, counter-clockwise as seen on a screen, the picture is turned) and
    `inverted` (whether the grey values are inverted). Nothing is guessed here: :mod:`lungseg.inference` decides which
    alternative of a picture is kept.
    """

    def __call__(self, data: torch.Tensor) -> MetaTensor:
        """Turn `data`, (1, W, H) of any real dtype, upright: (1, W, H) or (1, H, W)."""
        image = cast(MetaTensor, convert_to_tensor(data, track_meta=True))
        turns = int(image.meta.get("quarter_turns", 0)) % 4
        applied = list(image.applied_operations)
        if image.meta.get("inverted", False):
            image = cast(MetaTensor, image.max() + image.min() - image)
        upright = MetaTensor(_turn(image, -turns), meta=image.meta, applied_operations=applied)
        self.push_transform(upright, extra_info={"turns": turns})  # type: ignore[no-untyped-call]
        return upright

    def inverse(self, data: torch.Tensor) -> torch.Tensor:
        """Turn `data` (C, W, H) back as the image was turned."""
        return _turn(cast(MetaTensor, data), self.pop_transform(data)["extra_info"]["turns"])


class TurnUprightd(MapTransform, InvertibleTransform):
    """Dictionary version of :class:`TurnUpright`.

    Args:
        keys: images to turn.
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys)
        self.upright = TurnUpright()

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.upright(out[key])
        return out

    def inverse(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.upright.inverse(out[key])
        return out


def _turn(image: MetaTensor, turns: int) -> MetaTensor:
    """Turn an image counter-clockwise as seen on a screen, where axis 1 is x, and axis 2 is y and points down."""
    if turns % 4 == 0:
        # Rotate90 would copy it, at the size of the radiograph.
        return image
    rotate = Rotate90(k=-turns % 4)
    with rotate.trace_transform(False):
        return cast(MetaTensor, rotate(image))
