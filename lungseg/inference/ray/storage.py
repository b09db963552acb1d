# SPDX-License-Identifier: Apache-2.0
"""Folders on this machine and prefixes of S3 buckets, read and written in the same way."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lungseg.io.limits import MAX_BYTES, TOO_LARGE
from lungseg.utils.errors import LungsegError, UsageError, first_line
from lungseg.utils.files import atomic_path, writing_failed

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_S3 = "s3://"


def is_remote(name: str | os.PathLike[str]) -> bool:
    """Return whether this names a place in S3."""
    return os.fspath(name).startswith(_S3)


@dataclass(frozen=True)
class Storage:
    """A folder, or a prefix of a bucket. It can be pickled.

    Attributes:
        root: the folder, or `s3://bucket/prefix`.
    """

    root: str

    @property
    def remote(self) -> bool:
        """Whether it lies in S3."""
        return is_remote(self.root)

    def name(self, path: str) -> str:
        """Return the full name of a file."""
        return f"{self.root.rstrip('/')}/{path}" if self.remote else os.path.join(self.root, path)

    @cached_property
    def _place(self) -> tuple[FileSystem, str]:
        from pyarrow.fs import LocalFileSystem, S3FileSystem, resolve_s3_region

        if not self.remote:
            return LocalFileSystem(), os.path.abspath(self.root)
        base = self.root.removeprefix(_S3).rstrip("/")
        options = {}
        if endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
            scheme, _, host = endpoint.rpartition("://")
            options = {"endpoint_override": host, "scheme": scheme or "https"}
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        with self._named():
            if not region and not endpoint:
                region = resolve_s3_region(base.partition("/")[0])
            return S3FileSystem(region=region, **options), base

    @property
    def system(self) -> FileSystem:
        """The file system of :mod:`pyarrow.fs`.

        Raises:
            UsageError: the name of the bucket cannot be used.
        """
        return self._place[0]

    def key(self, path: str) -> str:
        """Return the name of a file in `system`."""
        base = self._place[1]
        return f"{base}/{path}" if path else base

    def __getstate__(self) -> dict[str, str]:
        return {"root": self.root}

    def check(self) -> None:
        """Check that the bucket can be reached.

        Raises:
            UsageError: there is no such bucket, or it may not be used.
        """
        from pyarrow.fs import FileType

        bucket = self.key("").partition("/")[0]
        with self._named():
            found = self.system.get_file_info(bucket).type
        if found != FileType.Directory:
            remedy = "check the name, and the variables AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            raise UsageError("there is no such bucket, or it may not be used", self.root, remedy, code="no-bucket")

    def files(self, folder: str = "") -> list[str]:
        """List the files in a folder below the root and in its folders; none if there is no such folder.

        Returns:
            Their paths below the root, with slashes, in order.

        Raises:
            LungsegError: it cannot be listed.
        """
        from pyarrow.fs import FileSelector, FileType

        with self._named():
            if not self.remote:
                return sorted(_files_below(self.root, folder))
            selector = FileSelector(self.key(folder), allow_not_found=True, recursive=True)
            found = self.system.get_file_info(selector)
        start = len(self.key("")) + 1
        return sorted(info.path[start:] for info in found if info.type == FileType.File)

    def prefix_of(self, name: str) -> str | None:
        """Return how the paths of files below a folder, or a place in S3, begin; None if it is not below the root."""
        found = (one if self.remote else os.path.realpath(one) for one in (self.root, name))
        root, place = (f"{one.rstrip('/')}/" for one in found)
        return place.removeprefix(root) if place.startswith(root) else None

    def sizes(self, paths: list[str]) -> list[int | None]:
        """Return the sizes of files in bytes; None for those that do not exist.

        Raises:
            LungsegError: they cannot be looked up.
        """
        from pyarrow.fs import FileType

        with self._named():
            if not self.remote:
                return [_size(os.path.join(self.root, path) if path else self.root) for path in paths]
            found = self.system.get_file_info([self.key(path) for path in paths])
        return [info.size if info.type == FileType.File else None for info in found]

    def read(self, path: str, most: int = MAX_BYTES) -> bytes:
        """Return the content of a file.

        Raises:
            LungsegError: it does not exist, cannot be read, or has more bytes than `most`.
        """
        name = self.name(path)
        with self._named(name), self.system.open_input_file(self.key(path)) as file:
            if file.size() > most:
                what = f"the file has {file.size()} bytes, more than any radiograph"
                raise LungsegError(what, name, TOO_LARGE, code="too-large")
            return bytes(file.readall())

    def write(self, path: str, content: bytes) -> None:
        """Write a file, whole or not at all; an existing one is replaced.

        Raises:
            LungsegError: it cannot be written.
        """
        if not self.remote:
            with atomic_path(Path(self.root, path)) as temporary:
                temporary.write_bytes(content)
            return
        # The object is there once the stream is closed.
        try:
            with self.system.open_output_stream(self.key(path)) as stream:
                stream.write(content)
        except OSError as error:
            what, remedy = f"it cannot be written ({first_line(error)})", "check the bucket, and what you may do there"
            raise LungsegError(what, self.name(path), remedy, code="not-written") from error

    def remove(self, path: str) -> None:
        """Remove a file, if it exists.

        Raises:
            LungsegError: it cannot be removed.
        """
        if not self.remote:
            file = Path(self.root, path)
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise writing_failed(error, file) from error
            return
        with self._named(self.name(path)), suppress(FileNotFoundError):
            self.system.delete_file(self.key(path))

    @contextmanager
    def _named(self, name: str | None = None) -> Iterator[None]:
        """Turn the errors of the system into sentences about the file, or about the root."""
        where = name or self.root
        try:
            yield
        except FileNotFoundError as error:
            raise LungsegError("there is no such file", where, "check the name", code="not-found") from error
        except PermissionError as error:
            remedy = "ask for permission to read it"
            raise LungsegError("this may not be read", where, remedy, code="not-permitted") from error
        except (OSError, ValueError) as error:
            remedy = "check the name, the network and the variables of AWS" if self.remote else "check the disk"
            raise LungsegError(
                f"this cannot be read ({first_line(error)})", where, remedy, code="not-readable"
            ) from error


# PyArrow fails for names that are not UTF-8, and follows links to folders: for ever, if one leads to a folder above it.


def _size(path: str) -> int | None:
    """Return the size of a file of this machine in bytes; None if there is no such file."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _files_below(root: str, folder: str) -> Iterator[str]:
    """Yield the paths of files in a folder of this machine, below its root.

    Raises:
        OSError: a folder cannot be listed.
    """

    def stop(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    base = os.path.join(os.path.abspath(root), "")
    for parent, _, names in os.walk(os.path.join(base, folder), onerror=stop):
        for name in names:
            if os.path.isfile(path := os.path.join(parent, name)):
                yield path[len(base) :]
