# SPDX-License-Identifier: Apache-2.0
"""Keep uploads in temporary files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import UploadFile

from lungseg.io.formats import split_ending


@contextmanager
def saved_upload(upload: UploadFile) -> Iterator[Path]:
    """Yield a temporary file with an upload's content, and only the known ending of its name."""
    parts = split_ending(Path(upload.filename or "").name)
    with tempfile.TemporaryDirectory(prefix="lungseg-") as folder:
        file = Path(folder, f"upload{parts[1].lower() if parts else ''}")
        with open(file, "wb") as opened:
            shutil.copyfileobj(upload.file, opened)
        yield file
