# SPDX-License-Identifier: Apache-2.0
"""The MONAI reader of references that the bundle's configs name."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np

from lungseg.data.labels import read_label
from lungseg.images.reader import LateReader
from lungseg.utils.errors import UsageError


class LungLabelReader(LateReader):
    """Read masks as label maps: ``LoadImaged(keys="label", reader=LungLabelReader())``.

    Takes one file (binary mask or label map) or the pair [right lung, left lung]. The array is (W, H) uint8,
    axis 0 being x as in MONAI's other readers: 0 background, 1 right lung, 2 left lung, 3 side not believed.
    The metadata hold `filename_or_obj`, `affine` (identity), `spatial_shape` (W, H) and `original_channel_dim`.
    """

    def get_data(self, img: Sequence[PathLike] | PathLike) -> tuple[np.ndarray, dict]:
        """Read the reference.

        Raises:
            MaskError: the reference cannot be used (a LungsegError).
            UsageError: more than two files were given.
        """
        names = [img] if isinstance(img, str | PathLike) else list(img)
        if len(names) not in (1, 2):
            raise UsageError(f"{len(names)} files were given for one reference", remedy="give a mask, or [right, left]")
        labels = np.ascontiguousarray(read_label(names[0] if len(names) == 1 else tuple(names)).labels.T)
        return labels, {
            "filename_or_obj": str(names[0]),
            "affine": np.eye(4),
            "spatial_shape": np.asarray(labels.shape),
            "original_channel_dim": "no_channel",
        }
