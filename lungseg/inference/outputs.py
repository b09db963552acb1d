# SPDX-License-Identifier: Apache-2.0
"""The files that `lungseg predict` writes for each radiograph: where they lie, and that they are whole."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lungseg.inference.choices import CROP_MARGIN
from lungseg.inference.kinds import DEFAULT_KINDS, KINDS, Target
from lungseg.utils.errors import LungsegError, UsageError
from lungseg.utils.files import atomic_path, writing_failed

if TYPE_CHECKING:
    from lungseg.inference.predictor import Prediction


class Outputs:
    """The output files of each radiograph.

    Args:
        folder: where a folder of each kind is made.
        kinds: names among `KINDS`; blanks around them are ignored.
        crop_margin: see :func:`lungseg.inference.crop.lung_box`.

    Raises:
        UsageError: there is no such kind, a package that it needs is missing, or the margin cannot be used.
    """

    def __init__(self, folder: Path, kinds: Iterable[str] = DEFAULT_KINDS, crop_margin: float = CROP_MARGIN) -> None:
        from lungseg.inference.crop import check_margin

        self.folder, self.kinds = Path(folder), tuple(dict.fromkeys(kind.strip() for kind in kinds))
        check_margin(crop_margin)
        self.crop_margin = crop_margin
        for kind in self.kinds:
            if kind not in KINDS:
                raise UsageError(
                    f"there is no kind of output called {kind!r}",
                    remedy=f"choose among {', '.join(KINDS)}",
                    code="unknown-output-kind",
                )
        if "dicom-seg" in self.kinds and find_spec("highdicom") is None:
            raise UsageError(
                "DICOM SEG needs the package highdicom",
                remedy='install it with pip install "lungseg[dicom]"',
                code="highdicom-missing",
            )

    def targets(self, stem: Path, kinds: Iterable[str] | None = None) -> dict[str, Path]:
        """Return kind -> file for an input whose results are called `stem` (which may have sub-folders).

        Args:
            stem: the results' name.
            kinds: which kinds; None for all that were asked for.
        """
        kinds = self.kinds if kinds is None else kinds
        return {kind: self.folder / kind / f"{stem}{KINDS[kind][0]}" for kind in kinds if kind in KINDS}

    def encode(
        self, stem: Path, prediction: Prediction, kinds: Iterable[str] | None = None
    ) -> tuple[dict[str, bytes], dict[str, LungsegError]]:
        """Encode the kinds that can be made from the input file.

        Args:
            stem: the results' name.
            prediction: the lungs.
            kinds: which kinds; None for all that were asked for.

        Returns:
            Kind -> content of its file, and kind -> why it cannot be made.
        """
        contents: dict[str, bytes] = {}
        refused: dict[str, LungsegError] = {}
        for kind, file in self.targets(stem, kinds).items():
            try:
                contents[kind] = KINDS[kind][1](prediction, Target(file, stem, self.crop_margin))
            except LungsegError as error:
                refused[kind] = error
        return contents, refused

    def make_room(self, stem: Path, kinds: Iterable[str]) -> None:
        """Make the folders of these kinds' files, and check that files of these names can exist.

        Raises:
            LungsegError: a name is too long, or a folder or a file is in the way.
        """
        for file in self.targets(stem, kinds).values():
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                # A name that is too long is refused here.
                with suppress(FileNotFoundError):
                    if stat.S_ISDIR(file.lstat().st_mode):
                        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            except OSError as error:
                raise writing_failed(error, file) from error

    def remove(self, stem: Path, kinds: Iterable[str]) -> None:
        """Remove the files of these kinds, if they exist; see `targets`.

        Raises:
            LungsegError: a file cannot be removed.
        """
        for file in self.targets(stem, kinds).values():
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise writing_failed(error, file) from error

    def write(self, stem: Path, contents: Mapping[str, bytes]) -> None:
        """Write the files of `contents`, see `encode`; if one fails, none of them is there afterwards.

        Raises:
            LungsegError: a file cannot be written.
        """
        written: list[Path] = []
        try:
            for kind, target in self.targets(stem, contents).items():
                with atomic_path(target) as temporary:
                    temporary.write_bytes(contents[kind])
                written.append(target)
        except BaseException:  # Ctrl-C among them
            for file in written:
                file.unlink(missing_ok=True)
            raise
