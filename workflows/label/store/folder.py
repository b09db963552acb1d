# SPDX-License-Identifier: Apache-2.0
"""The studies in a folder: MONAI Label's datastore, made safe against threads, kills and odd names."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory

from monailabel.datastore.local import DataModel, LocalDatastore

from lungseg.io import write_png
from lungseg.io.formats import split_ending
from lungseg.utils.files import atomic_path
from lungseg.workflows.label.store.label_maps import decode
from lungseg.workflows.label.store.study_files import LABELS, PATTERNS, listed

# Of the name of a label that is kept, in bytes: file systems take 255, with a number and an ending.
_LONGEST = 200


def _locked(method: Callable) -> Callable:
    """Let one thread at a time into the methods that read and write the list of studies."""

    @wraps(method)
    def alone(self, *arguments, **named):
        with self._mutex:
            return method(self, *arguments, **named)

    return alone


class StudyFolder(LocalDatastore):
    """A folder of radiographs with their labels in `labels/<tag>/` and what is known of them in `datastore_v2.json`.

    MONAI Label's own class loses a label that is saved while its watcher reads the list again, leaves half a list when
    it is killed, forgets the label that another one replaces, and overlooks files that get their names by a move.

    Args:
        folder: the studies.
        replaced: folder that gets the labels that others replace.
        watch: follow what other programs do in the folder.
    """

    def __init__(self, folder: str, replaced: Path, watch: bool = True) -> None:
        self._mutex = threading.RLock()
        self.replaced = Path(replaced)
        super().__init__(folder, labels_dir=LABELS, extensions=PATTERNS, auto_reload=watch)
        if watch:
            # Whoever writes with care gives a file its name when it is whole.
            self._handler.on_moved = self._on_any_event

    def file_of(self, image_id: str) -> Path | None:
        """Return the file of a study, or None if there is no such study."""
        uri = self.get_image_uri(image_id)
        return Path(uri) if uri else None

    def label_file(self, image_id: str, tag: str) -> Path | None:
        """Return the file of a study's label, or None if there is none."""
        uri = LocalDatastore.get_label_uri(self, image_id, tag)
        return Path(uri) if uri and Path(uri).is_file() else None

    def save_label_map(self, image_id: str, file: Path, tag: str, info: dict) -> str:
        """Take over a label map, whatever its format, as a PNG.

        Raises:
            LungsegError: it is no label map, or not of this study.
        """
        labels = decode(file, self.file_of(image_id))
        with TemporaryDirectory(prefix="lungseg-") as folder:
            png = Path(folder, "label.png")
            write_png(png, labels)
            return self.save_label(image_id, str(png), tag, info)

    @_locked
    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict) -> str:
        """Take over a label's file; one that it replaces is kept beside the studies."""
        self._keep(image_id, label_tag)
        obj = self._datastore.objects[image_id]
        _, ending = self._to_id(os.path.basename(label_filename))
        target = Path(self._datastore.label_path(label_tag)) / self._filename(image_id, ending)
        with atomic_path(target) as temporary:
            temporary.write_bytes(Path(label_filename).read_bytes())
        obj.labels[label_tag] = DataModel(info={**label_info, "ts": int(time.time()), "name": target.name}, ext=ending)
        self._update_datastore_file()
        return image_id

    def _keep(self, image_id: str, tag: str) -> None:
        before = self.label_file(image_id, tag)
        if before is None:
            return
        folder, name = self.replaced / tag, _short(before.stem)
        number = 1 + max(_numbers(folder, name), default=0)
        with atomic_path(folder / f"{name}.{number}{before.suffix}") as temporary:
            temporary.write_bytes(before.read_bytes())

    @_locked
    def remove_label(self, label_id: str, label_tag: str) -> None:
        self._keep(label_id, label_tag)
        super().remove_label(label_id, label_tag)
        self.refresh()

    @_locked
    def add_new_image(self, image_id: str, file: Path, info: dict) -> bool:
        """Add a radiograph under a name that no study has; return whether it was free."""
        if image_id in self.list_images():
            return False
        self.add_image(image_id, str(file), info)
        return True

    @_locked
    def add_image(self, image_id: str, image_filename: str, image_info: dict) -> str:
        return super().add_image(image_id, image_filename, image_info)

    @_locked
    def remove_image(self, image_id: str) -> None:
        super().remove_image(image_id)
        self.refresh()

    @_locked
    def update_image_info(self, image_id: str, info: dict) -> None:
        super().update_image_info(image_id, info)

    @_locked
    def update_label_info(self, label_id: str, label_tag: str, info: dict) -> None:
        super().update_label_info(label_id, label_tag, info)

    @_locked
    def datalist(self, full_path: bool = True) -> list[dict]:
        return super().datalist(full_path)

    @_locked
    def status(self) -> dict:
        return super().status()

    @_locked
    def json(self) -> dict:
        return super().json()

    @_locked
    def refresh(self) -> None:
        super().refresh()

    @_locked
    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        super()._init_from_datastore_file(throw_exception)

    @_locked
    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the list whole or not at all, so that a killed server starts again."""
        content = self._datastore.model_dump(exclude={"base_path"})
        with atomic_path(self._datastore_config_path) as temporary:
            temporary.write_text(json.dumps(content, indent=2, default=str))
        self._config_ts = os.stat(self._datastore_config_path).st_mtime

    def _list_files(self, path: str, patterns: list[str]) -> dict[str, str]:
        """Go by the names as `look_into` does."""
        with os.scandir(path) as entries:
            return {name: name for name in listed(entry.name for entry in entries if entry.is_file()).values()}

    def _to_id(self, file: str) -> tuple[str, str]:
        """Take the ending off the end alone: MONAI Label takes every occurrence in a name."""
        return split_ending(file) or super()._to_id(file)


def _short(name: str) -> str:
    """Return a name that a number fits behind; a digest tells apart those that begin alike."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST:
        return name
    return f"{encoded[:_LONGEST].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:12]}"


def _numbers(folder: Path, name: str) -> list[int]:
    """Return the numbers of the labels of one name that are kept in a folder."""
    kept = folder.glob(f"{glob.escape(name)}.*")
    return [int(found[1]) for file in kept if (found := re.fullmatch(re.escape(name) + r"\.([0-9]+)", file.stem))]
