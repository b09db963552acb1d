# SPDX-License-Identifier: Apache-2.0
"""Find out where the radiographs of a run come from."""

from __future__ import annotations

from collections.abc import Sequence

from lungseg.inference.ray.listed import find_in_s3, find_local
from lungseg.inference.ray.parquet import find_in_parquet, parquet_files
from lungseg.inference.ray.source import Source
from lungseg.inference.ray.storage import is_remote
from lungseg.utils.errors import UsageError


def find_source(inputs: Sequence[str], output: str, image: str | None = None, name: str | None = None) -> Source:
    """Find the radiographs: files and folders, places in S3, or Parquet files.

    Args:
        inputs: files and folders of this machine, or places in S3 (`s3://bucket/prefix`).
        output: the target, which is not searched.
        image: of Parquet files, the column with the content of files.
        name: of Parquet files, the column with their names.

    Raises:
        UsageError: there is none, the inputs are of several kinds, or the columns are not known.
        LungsegError: a place cannot be listed or read.
    """
    remote = [one for one in inputs if is_remote(one)]
    if remote and len(remote) < len(inputs):
        what = "files on this machine and files in S3 cannot be segmented in one run"
        raise UsageError(what, remedy="use two runs", code="mixed-sources")
    if found := parquet_files(inputs, output):
        return find_in_parquet(*found, image, name)
    if image or name:
        remedy = "leave out --image-column and --name-column, or name Parquet files"
        raise UsageError("only Parquet files have columns", inputs[0], remedy, code="not-parquet")
    return find_in_s3(inputs, output) if remote else find_local(inputs, output)
