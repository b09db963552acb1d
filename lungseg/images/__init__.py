# SPDX-License-Identifier: Apache-2.0
"""Files become arrays, and arrays files."""

from lungseg.images.inputs import Inputs, find_radiographs, matching_files
from lungseg.images.overlay import draw_overlay
from lungseg.images.radiograph import Radiograph, read_radiograph
from lungseg.images.writer import encode_png, write_png

__all__ = [
    "Inputs",
    "Radiograph",
    "RadiographReader",
    "draw_overlay",
    "encode_png",
    "find_radiographs",
    "matching_files",
    "read_radiograph",
    "write_png",
]


def __getattr__(name: str):
    # MONAI and torch take seconds to import; only their reader needs them.
    if name == "RadiographReader":
        from lungseg.images.reader import RadiographReader

        return RadiographReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
