# SPDX-License-Identifier: Apache-2.0
"""The package never loads pydicom's FileSet, which follows the paths in a DICOMDIR.

CVE-2026-32711, a path traversal there, is fixed in pydicom 3.0.2 and in no release of pydicom 2, which MONAI Label's
environment needs. A DICOMDIR is refused like any other object without a picture, and its paths are not read.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from images_support import GREY, write_dicom

import lungseg

_READ = """
import sys
from lungseg.io import find_radiographs, read_radiograph
from pathlib import Path
from lungseg.utils.errors import LungsegError
found = find_radiographs([sys.argv[1]])
assert [path.name for path in found.companions] == ["directory.dcm"]
for path in (*(path for path, _ in found.radiographs), Path(sys.argv[1], "directory.dcm")):
    try:
        read_radiograph(path)
    except LungsegError as error:
        print(error.code)
assert "pydicom" in sys.modules
assert "pydicom.fileset" not in sys.modules
"""


@pytest.mark.safety("dicomdir")
def test_reading_a_folder_with_a_directory_loads_no_file_set(tmp_path):
    write_dicom(tmp_path / "radiograph.dcm", GREY)
    write_dicom(tmp_path / "directory.dcm", GREY, SOPClassUID="1.2.840.10008.1.3.10", PixelData=None)
    done = subprocess.run([sys.executable, "-c", _READ, tmp_path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "dicom-directory\n"


@pytest.mark.safety("dicomdir")
def test_no_source_file_names_it():
    sources = list(Path(lungseg.__file__).parent.rglob("*.py"))
    assert len(sources) > 50
    assert not [path for path in sources if re.search(r"\bfileset\b|\bFileSet\b|\bDicomDir\b", path.read_text("utf-8"))]
