# SPDX-License-Identifier: Apache-2.0
"""Read radiographs from files, and write pictures, label maps and DICOM objects to files."""

from lungseg.io.discovery import Inputs, find_radiographs, matching_files
from lungseg.io.overlay import draw_overlay
from lungseg.io.png import encode_png, write_png
from lungseg.io.radiograph import Radiograph, SourceFile
from lungseg.io.reading import read_radiograph, read_source

__all__ = [
    "Inputs",
    "Radiograph",
    "SourceFile",
    "draw_overlay",
    "encode_png",
    "find_radiographs",
    "matching_files",
    "read_radiograph",
    "read_source",
    "write_png",
]
