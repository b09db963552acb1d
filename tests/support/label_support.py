# SPDX-License-Identifier: Apache-2.0
"""The MONAI Label app as its users meet it: a server that `lungseg label start` started, asked over HTTP."""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from PIL import Image

from benchmarks.orthanc_node import free_port
from lungseg.cli.demo import real_radiograph
from lungseg.data import phantom
from lungseg.io import write_png
from lungseg.workflows.label.setup.environment import environment_folder, is_current, python_of

ROOT = Path(__file__).resolve().parents[2]
MODEL = "lung_cxr_segmentation"
_T = TypeVar("_T")
# Set where no test may be skipped because of a missing package.
COMPLETE = "LUNGSEG_TEST_EVERYTHING" in os.environ
# Starting a server imports PyTorch, which takes minutes on a busy machine.
_SECONDS = 600


def require_environment() -> Path:
    """Return the interpreter of the second environment, or skip the test."""
    folder = environment_folder()
    if not is_current(folder):
        reason = "the environment of MONAI Label is not built (make label-environment)"
        (pytest.fail if COMPLETE else pytest.skip)(reason)
    return python_of(folder)


def wait_for(condition: Callable[[], _T]) -> _T:
    """Return what `condition` returns as soon as it is true, however slow the machine is."""
    end = time.monotonic() + _SECONDS
    while not (result := condition()):
        assert time.monotonic() < end, "timed out"
        time.sleep(0.2)
    return result


def wait_until_listening(process: subprocess.Popen, port: int) -> None:
    """Wait until a program that was just started listens at its port."""

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    wait_for(lambda: listens() or process.poll() is not None)
    assert process.poll() is None, "the program ended"


def write_studies(folder: Path, radiograph: np.ndarray) -> Path:
    """Write one study of each format, neither square nor symmetric."""
    import nibabel

    for number in range(3):
        write_png(folder / f"phantom-{number}.png", phantom(number, (180 + 20 * number, 220))[0])
    Image.fromarray(phantom(9, (220, 180))[0]).save(folder / "photo.jpg", quality=90)
    write_png(folder / "real one (1).png", radiograph)
    nibabel.save(nibabel.Nifti1Image(radiograph.T, np.diag([-0.6, -0.6, 1, 1])), folder / "volume.nii.gz")
    shutil.copy(real_radiograph(), folder / "1.2.3.dcm")
    return folder


@dataclass(frozen=True)
class Answer:
    """An answer of the server."""

    status: int
    type: str
    body: bytes
    etag: str | None

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        """The sentence of an error."""
        detail = self.json["detail"]
        assert detail.endswith("."), detail
        return detail

    @property
    def labels(self) -> np.ndarray:
        """The body as a label map."""
        return np.asarray(Image.open(io.BytesIO(self.body)))

    @property
    def parts(self) -> dict[str, bytes]:
        """The parts of a form, by name."""
        message = message_from_bytes(f"Content-Type: {self.type}\r\n\r\n".encode() + self.body)
        return {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in message.get_payload()
        }


class LabelServer:
    """A running app; a context manager.

    Args:
        studies: folder or URL.
        options: further ones of `lungseg label start`.
        environment: variables to set.
    """

    def __init__(self, studies: Path | str, *options: object, environment: dict | None = None) -> None:
        self.studies, self.port = studies, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.work = Path(studies) / ".lungseg-label" if isinstance(studies, Path) else None
        self.command = [sys.executable, "-m", "lungseg", "label", "start", "--studies", studies, "--port", self.port]
        self.command = [str(part) for part in (*self.command, *options)]
        self.environment = os.environ | {"OMP_NUM_THREADS": "1"} | (environment or {})
        self.output, self.ready, self.folder = "", "/lungseg/", None

    def __enter__(self) -> LabelServer:
        self.log = TemporaryFile("w+")
        self.process = subprocess.Popen(
            self.command,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=self.environment,
            cwd=self.folder,
            start_new_session=True,
        )
        try:
            wait_for(lambda: self.process.poll() is not None or self.answers())
            assert self.process.poll() is None
        except AssertionError:
            self.__exit__()
            pytest.fail(f"the server did not start: {self.output[-3000:]}")
        return self

    def __exit__(self, *failure) -> None:
        self.kill(signal.SIGINT)
        self.log.seek(0)
        self.output = self.log.read()
        self.log.close()

    def answers(self) -> bool:
        """Return whether the server has started."""
        try:
            return self.get(self.ready).status == 200
        except OSError:
            return False

    def kill(self, how: int) -> None:
        """End the server and the trainings that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def ask(self, method: str, path: str, data: bytes | None = None, **headers: str) -> Answer:
        """Send a request, and return the answer of any status."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return Answer(answer.status, answer.headers["content-type"], answer.read(), answer.headers["etag"])
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers["content-type"], error.read(), error.headers["etag"])

    def get(self, path: str, **query: str) -> Answer:
        return self.ask("GET", _with(path, query))

    def post(self, path: str, content=None, **query: str) -> Answer:
        """Send JSON."""
        return self.ask("POST", _with(path, query), json.dumps(content or {}).encode(), content_type="application/json")

    def form(
        self,
        method: str,
        path: str,
        fields: dict | None = None,
        files: dict | None = None,
        headers: dict | None = None,
        **query,
    ) -> Answer:
        """Send a form: `fields` are JSON-ready values, `files` are name -> (file name, content)."""
        boundary = secrets.token_hex(12)
        body = b""
        for name, value in (fields or {}).items():
            text = value if isinstance(value, str) else json.dumps(value)
            body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        for name, (file, content) in (files or {}).items():
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'
            body += head.encode() + content + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        return self.ask(method, _with(path, query), body, content_type=kind, **(headers or {}))

    def infer(self, study: str, output: str = "image", **params) -> Answer:
        """Segment a study."""
        return self.form("POST", f"/infer/{MODEL}", {"params": params}, image=study, output=output)

    def save(
        self, study: str, labels: np.ndarray | bytes, tag: str = "final", name: str = "label.png", **headers: str
    ) -> Answer:
        """Save a label map."""
        content = labels if isinstance(labels, bytes) else png(labels)
        files = {"label": (name, content)}
        return self.form("PUT", "/datastore/label", files=files, headers=headers, image=study, tag=tag)

    def wait(self, condition: Callable[[], _T]) -> _T:
        """Return what `condition` returns as soon as it is true."""
        return wait_for(condition)

    def wait_until_scored(self, **headers: str) -> None:
        """Wait until each study is scored or cannot be read.

        Until then the server computes, needs more memory, and the order of the studies changes.
        """

        def is_scored() -> bool:
            studies = self.ask("GET", "/lungseg/studies", **headers).json
            return all(study["quality"] is not None or study["error"] for study in studies)

        wait_for(is_scored)


def _with(path: str, query: dict) -> str:
    return f"{quote(path)}?{urlencode(query)}" if query else quote(path)


def png(labels: np.ndarray) -> bytes:
    """Return the bytes of a PNG that Pillow writes."""
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, "PNG")
    return buffer.getvalue()


def peak_memory(server: LabelServer) -> int:
    """Return the bytes of memory that a server needed at most."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
