# SPDX-License-Identifier: Apache-2.0
"""Files become arrays, and arrays files."""

from lungseg.io.discovery import Inputs, find_radiographs, matching_files
from lungseg.io.overlay import draw_overlay
from lungseg.io.png import encode_png, write_png
from lungseg.io.radiograph import Radiograph
from lungseg.io.reading import read_radiograph

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
        from lungseg.data.image_reader import RadiographReader

        return RadiographReader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
