# SPDX-License-Identifier: Apache-2.0
"""Transforms that MONAI lacks. Arrays are (C, W, H): axis 1 is x."""

from lungseg.utils.imports import lazy_exports

__all__ = [
    "AsNativeRegionsd",
    "AsRegionsd",
    "CLAHEd",
    "CleanComponents",
    "CleanComponentsd",
    "LungProbabilitiesd",
    "RandCLAHEd",
    "RandMirrord",
    "RandSimulateDevicesd",
    "RandSimulateOpacityd",
    "RandWindowd",
    "RegionsToLabelsd",
    "ResizeLabelsd",
    "ResizeShorterSide",
    "ResizeShorterSided",
    "ScaleIntensityRangePercentilesFastd",
    "TurnUpright",
    "TurnUprightd",
    "clahe",
    "foreground_mask",
    "label_map",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "ResizeLabelsd": "spatial",
        "ResizeShorterSide": "spatial",
        "ResizeShorterSided": "spatial",
        "foreground_mask": "frames",
        "CLAHEd": "intensity",
        "ScaleIntensityRangePercentilesFastd": "intensity",
        "clahe": "intensity",
        "TurnUpright": "orientation",
        "TurnUprightd": "orientation",
        "CleanComponents": "post",
        "CleanComponentsd": "post",
        "AsNativeRegionsd": "native",
        "AsRegionsd": "regions",
        "LungProbabilitiesd": "regions",
        "RegionsToLabelsd": "regions",
        "label_map": "regions",
        "RandCLAHEd": "augmentation",
        "RandMirrord": "augmentation",
        "RandSimulateDevicesd": "augmentation",
        "RandSimulateOpacityd": "augmentation",
        "RandWindowd": "augmentation",
    },
)
