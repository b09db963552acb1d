# SPDX-License-Identifier: Apache-2.0
"""The few dictionary transforms for inference and training that MONAI lacks.

Arrays are channel first with MONAI's axis order, (C, W, H): axis 1 is x.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Resize, Resized, Transform
from monai.transforms.spatial.functional import resize
from monai.utils import convert_to_tensor

# Borders are looked for in so many pieces of a line, each of so many pixels.
_PIECES, _PIXELS = 64, 8


class ResizeShorterSide(Resize):
    """Resize so that the shorter side has `size` pixels, and the longer one as few more as a limited squeeze allows.

    Most radiographs become squares, in which the network sees the whole chest at once: a window that shows a part of
    it may take dark air beside the body for lung. What is longer than `squeeze` times its width takes several windows.
    The inverse interpolates bilinearly: the forward "area" mode averages when it shrinks but makes
    blocks when it enlarges.

    Args:
        size: length of the shorter side in pixels.
        squeeze: the longer side is shortened by up to this factor more than the shorter one, until they are equal.
    """

    def __init__(self, size: int, squeeze: float = 1.5) -> None:
        super().__init__(spatial_size=size, mode="area")
        self.squeeze = squeeze

    def __call__(self, img: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        """Resize `img` of shape (C, W, H), any real dtype, to float32 with the shorter side at `size`."""
        img = convert_to_tensor(img, track_meta=True)
        relative = (n / min(img.shape[1:]) for n in img.shape[1:])
        out_size = tuple(round(self.spatial_size * max(1, ratio / self.squeeze)) for ratio in relative)
        return resize(
            img,
            out_size=out_size,
            mode=self.mode,
            align_corners=None,
            dtype=torch.float32,
            input_ndim=2,
            anti_aliasing=False,
            anti_aliasing_sigma=None,
            lazy=False,
            transform_info=self.get_transform_info(),
        )

    def inverse_transform(self, data: torch.Tensor, transform) -> torch.Tensor:
        """Interpolate `data` (C, w, h) bilinearly back to the size it had before the forward call."""
        transform["extra_info"]["mode"] = "bilinear"
        return super().inverse_transform(data, transform)


class ResizeShorterSided(Resized):
    """Dictionary version of :class:`ResizeShorterSide`.

    Args:
        keys: items to resize.
        size: length of the shorter side in pixels.
    """

    def __init__(self, keys: KeysCollection, size: int) -> None:
        super().__init__(keys, spatial_size=size)
        self.resizer = ResizeShorterSide(size)


class ResizeLabelsd(MapTransform):
    """Resize label maps (1, W, H) as :class:`ResizeShorterSided` resizes images: to the label that covers most.

    Nearest neighbour would take one corner of the area that the image's mode averages, and so move each outline.
    Where background and lung cover the same, every other pixel becomes lung, lest all lungs shrink.

    Args:
        keys: label maps with values 0 to `labels` - 1.
        size: length of the shorter side in pixels.
        labels: number of labels, with the one for a lung whose side is not believed.
    """

    def __init__(self, keys: KeysCollection, size: int, labels: int = 4) -> None:
        super().__init__(keys)
        self.resize, self.labels = ResizeShorterSide(size), labels

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            label = torch.as_tensor(np.asarray(out[key]))
            share = self.resize(torch.cat([label == value for value in range(self.labels)]).float()).as_tensor()
            parity = torch.arange(share.shape[1])[:, None] + torch.arange(share.shape[2])
            share[0] += 1e-3 * (1 - 2 * (parity % 2))
            out[key] = share.argmax(0, keepdim=True).to(torch.uint8)
        return out


def inside_borders(image: torch.Tensor, tolerance: float = 0.04, share: float = 0.05) -> torch.Tensor:
    """Find what lies inside uniform borders: letterboxing, collimator bars, unexposed film.

    A border's lines (rows or columns) have one grey value, that of the outermost line, but for a `share` of their
    length, so that burnt-in text does not hide it. Grey values are means of short pieces of a line, so that noise does
    not hide it either. For :class:`monai.transforms.CropForegroundd`.

    Args:
        image: (C, W, H) of any real dtype; the first channel counts.
        tolerance: what counts as the same grey, relative to the image's range (1st to 99th percentile).
        share: at most so much of a border's line differs.

    Returns:
        (1, W, H) bool, true in one rectangle: all of the image where less than a quarter of a side would be left.
    """
    pixels = np.asarray(image)[0]
    low, high = np.percentile(pixels[:: max(1, pixels.shape[0] // 256), :: max(1, pixels.shape[1] // 256)], (1, 99))
    spans = []
    for lines in (pixels, pixels.T):
        lines = _in_pieces(lines)
        margins = []
        for inward in (lines, lines[::-1]):
            differs = np.abs(inward - np.median(inward[0])) > tolerance * (high - low)
            content = differs.mean(axis=1) > share
            margins.append(int(content.argmax()) if content.any() else 0)
        start, stop = margins[0], len(lines) - margins[1]
        spans.append(slice(start, stop) if stop - start >= len(lines) / 4 else slice(None))
    inside = torch.zeros(1, *pixels.shape, dtype=torch.bool)
    inside[0, spans[0], spans[1]] = True
    return inside


def _in_pieces(lines: np.ndarray) -> np.ndarray:
    """Return means, (N, about 64) float32, of pieces of each line (N, L), of about 8 pixels in a large one.

    Of 512 lines or more, neighbours are averaged too.
    """
    from scipy.ndimage import uniform_filter1d

    lines = lines[:, :: max(1, lines.shape[1] // (_PIECES * _PIXELS))].astype(np.float32)
    length = max(1, lines.shape[1] // _PIECES)
    whole = lines.shape[1] // length * length
    pieces = lines[:, :whole].reshape(len(lines), -1, length).mean(axis=2)
    return uniform_filter1d(pieces, max(1, len(lines) // 256), axis=0, mode="mirror")


class ScalePercentilesd(MapTransform):
    """Scale the grey values between two percentiles to [0, 1] and clip: exposure and bit depth no longer matter.

    The same as MONAI's ScaleIntensityRangePercentilesd with clipping, which sorts the pixels once per percentile and
    takes ten times as long. An image of one grey value becomes zero.

    Args:
        keys: images (C, W, H) of any real dtype; the result is float32.
        lower: percentile that becomes 0.
        upper: percentile that becomes 1.
    """

    def __init__(self, keys: KeysCollection, lower: float = 0.5, upper: float = 99.5) -> None:
        super().__init__(keys)
        self.percentiles = (lower, upper)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            image = convert_to_tensor(out[key], dtype=torch.float32, track_meta=True)
            low, high = np.percentile(image.cpu().numpy(), self.percentiles)
            out[key] = ((image - float(low)) / max(float(high - low), 1e-12)).clamp(0, 1)
        return out


def clahe(image: np.ndarray, clip_limit: float, tiles: int) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994) by scikit-image.

    Args:
        image: (W, H) float array in [0, 1].
        clip_limit: normalised clipping limit in (0, 1]; higher means more contrast.
        tiles: number of tiles along the shorter side.

    Returns:
        (W, H) float32 array in [0, 1].
    """
    from skimage.exposure import equalize_adapthist

    kernel = max(8, min(image.shape) // tiles)
    return equalize_adapthist(image.clip(0, 1), kernel_size=kernel, clip_limit=clip_limit).astype(np.float32)


class CLAHEd(MapTransform):
    """Apply :func:`clahe` to each channel of float images in [0, 1], shape (C, W, H)."""

    def __init__(self, keys: KeysCollection, clip_limit: float = 0.01, tiles: int = 8) -> None:
        super().__init__(keys)
        self.clip_limit, self.tiles = clip_limit, tiles

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            image = convert_to_tensor(out[key], track_meta=True)
            equalised = np.stack([clahe(c, self.clip_limit, self.tiles) for c in image.numpy()])
            out[key] = MetaTensor(torch.from_numpy(equalised), meta=image.meta).copy_meta_from(image)
        return out


class TidyLungs(Transform):
    """Give islands back to the background and fill holes, before probabilities are enlarged.

    A lung is one piece without holes, but for what crosses it. The connected components of each lung, as `LungLabelsd`
    will draw it, are found at the network's resolution, where this is cheap: one smaller than `fraction` of that lung's
    largest loses its lung probability, and what a lung encloses loses its background probability. A lung that something
    crosses may be two pieces of some size; smaller ones are air beside the body, stomach or bowel more often than lung.

    Args:
        fraction: smallest kept area relative to the lung's largest component.
        threshold: that of `LungLabelsd`.
    """

    def __init__(self, fraction: float = 0.5, threshold: float = 0.5) -> None:
        self.fraction, self.threshold = fraction, threshold

    def __call__(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Tidy `probabilities`, shape (3, W, H), channels background, right lung, left lung."""
        # NumPy finds it in a sixth of PyTorch's time.
        _, right, left = probabilities.cpu().numpy()
        labels = np.where(right + left > self.threshold, np.where(left > right, 2, 1), 0)
        tidy = probabilities.clone()
        for lung in (1, 2):
            islands, holes = self._faults(labels == lung)
            tidy[:, islands.to(tidy.device)] = tidy.new_tensor([1.0, 0.0, 0.0])[:, None]
            holes = holes.to(tidy.device)
            tidy[0, holes], tidy[lung, holes] = 0.0, tidy[lung, holes] + tidy[0, holes]
        return tidy

    def _faults(self, lung: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Find islands and holes of the mask `lung` (W, H), as masks of that shape."""
        # Imported late: the command line must not wait for SciPy.
        from lungseg.components import holes, pieces

        numbers, sizes = pieces(lung)
        small = np.array([False, *(sizes < self.fraction * sizes.max(initial=0))])
        islands = small[numbers]
        return torch.from_numpy(islands), torch.from_numpy(holes(lung & ~islands))


class TidyLungsd(MapTransform):
    """Dictionary version of :class:`TidyLungs`."""

    def __init__(self, keys: KeysCollection, fraction: float = 0.5, threshold: float = 0.5) -> None:
        super().__init__(keys)
        self.tidy = TidyLungs(fraction, threshold)

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = self.tidy(out[key])
        return out


class LungProbabilitiesd(MapTransform):
    """Leave the background out of the probabilities: (3, W, H) becomes (2, W, H), right and left lung.

    The three add up to one, also after linear interpolation, so a third of the work of enlarging them is spared.
    """

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            out[key] = out[key][1:]
        return out


class LungLabelsd(MapTransform):
    """Labels from the two lungs' probabilities: (2, W, H) becomes (1, W, H) uint8.

    A pixel is lung where both together are more probable than `threshold`, and belongs to the likelier side. At one
    half the areas come out two percent too small, for a network that is unsure of a border prefers the background;
    `inference.json` has the threshold that was chosen on the validation lists.

    Args:
        keys: probabilities of the right and the left lung.
        threshold: probability above which a pixel is lung.
    """

    def __init__(self, keys: KeysCollection, threshold: float = 0.5) -> None:
        super().__init__(keys)
        self.threshold = threshold

    def __call__(self, data: Mapping[Hashable, torch.Tensor]) -> dict[Hashable, torch.Tensor]:
        out = dict(data)
        for key in self.key_iterator(out):
            right, left = out[key].as_tensor() if isinstance(out[key], MetaTensor) else out[key]
            labels = (left > right).to(torch.uint8).add_(1).mul_(right + left > self.threshold)[None]
            out[key] = MetaTensor(labels).copy_meta_from(out[key]) if isinstance(out[key], MetaTensor) else labels
        return out
