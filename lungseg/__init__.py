# SPDX-License-Identifier: Apache-2.0
"""Lung segmentation from chest radiographs, as a MONAI bundle.

>>> import lungseg
>>> lungs = lungseg.load().predict("chest.png")
>>> lungs.labels  # (H, W) uint8: 0 background, 1 right lung, 2 left lung
"""

from lungseg.version import __version__ as __version__


def load(weights=None, device: str = "auto", **options):
    """Return a :class:`lungseg.inference.Predictor` with the shipped weights, or those of a file or a run's folder.

    Args:
        weights, device: see there.
        options: `precision` and `keep_probabilities`, see there.
    """
    from lungseg.utils.imports import import_monai_without_deploy

    import_monai_without_deploy()
    from lungseg.inference.predictor import Predictor

    return Predictor(weights=weights, device=device, **options)
