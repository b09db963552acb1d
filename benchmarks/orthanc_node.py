# SPDX-License-Identifier: Apache-2.0
"""A real Orthanc on loopback with the shipped configuration, and a worker beside it: for benchmark and tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import requests
from pydicom import Dataset, dcmread

from lungseg.utils.errors import UsageError
from lungseg.workflows.deploy.orthanc.processor import OUTCOME

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "a password that opens nothing else"
# Worker and Orthanc read it.
ENVIRONMENT = {"LUNGSEG_ORTHANC_USER": "lungseg", "LUNGSEG_ORTHANC_PASSWORD": PASSWORD}
_PACKAGES = {"Orthanc": "orthanc", "storescu": "dcmtk", "storescp": "dcmtk", "dciodvfy": "dicom3tools"}
# A guard alone: starting a worker imports PyTorch, which takes minutes on a busy machine.
_SECONDS = 600
_held_ports: list[socket.socket] = []


def program(name: str) -> str:
    """Return the path of a program.

    Raises:
        UsageError: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise UsageError(f"{name} is not installed", remedy=f"install the Debian package {_PACKAGES[name]}")
    return path


def wait_until(condition: Callable[[], object], what: str, seconds: float = _SECONDS) -> None:
    """Wait for something that will happen, however slow the machine is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def free_port() -> int:
    """Return a port for a program that this process starts; nobody else is given it while this process lives.

    A bound socket that does not listen keeps it: the system gives it to no socket that asks for any port, and a server
    that names it can listen there, since servers set SO_REUSEADDR.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    _held_ports.append(holder)
    return holder.getsockname()[1]


class Node:
    """An Orthanc with a storage of its own; other settings than the shipped ones are given by their names."""

    def __init__(self, folder: Path, **settings) -> None:
        self.folder, self.http, self.dicom = folder, free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}"
        self._session = requests.Session()
        self._session.auth = ("lungseg", PASSWORD)
        shipped = (ROOT / "workflows" / "deploy" / "orthanc.json").read_text(encoding="utf-8")
        config = json.loads(re.sub(r"^ *//.*$", "", shipped, flags=re.MULTILINE))
        storage = str(folder / "storage")
        config |= {"HttpPort": self.http, "DicomPort": self.dicom, "StorageDirectory": storage}
        config |= {"IndexDirectory": storage, "StableAge": 1, **settings}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "orthanc.json").write_text(json.dumps(config), encoding="utf-8")
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [program("Orthanc"), self.folder / "orthanc.json"],
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "orthanc.log").open("a"),
            env=os.environ | ENVIRONMENT,
        )
        wait_until(self.is_up, "Orthanc does not start: see its log")

    def is_up(self) -> bool:
        try:
            return self.get("/system") is not None
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def get(self, path: str, **parameters):
        """Ask Orthanc's REST interface, or DICOMweb."""
        return self._ask(path, parameters).json()

    def send(self, *files: Path, title: str = "PACS", options: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        """Send files, or all in folders, by dcmtk's storescu."""
        to = ["-aet", title, "-aec", "LUNGSEG", "127.0.0.1", str(self.dicom)]
        return subprocess.run(
            [program("storescu"), "+sd", "+r", *options, *to, *map(str, files)],
            capture_output=True,
            text=True,
            timeout=120,
        )

    def store(self, file: Path) -> str | None:
        """Store a file by REST, which keeps its meta header; return Orthanc's identifier, None if it is refused."""
        answer = self._session.post(f"{self.url}/instances", file.read_bytes(), timeout=60)
        return answer.json()["ID"] if answer.ok else None

    def studies(self) -> list[str]:
        return self.get("/studies")

    def outcomes(self) -> dict[str, dict | None]:
        """The outcome of each object that is not a result of lungseg, None without one, by Orthanc's identifiers."""
        found: dict[str, dict | None] = {}
        for series in self.get("/series", expand=""):
            if series["MainDicomTags"].get("Manufacturer") != "lungseg":
                for instance in series["Instances"]:
                    outcome = self.get(f"/instances/{instance}/metadata", expand="").get(OUTCOME)
                    found[instance] = json.loads(outcome) if outcome else None
        return found

    def results(self) -> dict[str, list[Dataset]]:
        """The results of lungseg, by the SOP instance UIDs of their sources."""
        found: dict[str, list[Dataset]] = {}
        for series in self.get("/series", expand=""):
            if series["MainDicomTags"].get("Manufacturer") == "lungseg":
                for instance in series["Instances"]:
                    dataset = dcmread(BytesIO(self._ask(f"/instances/{instance}/file").content))
                    source = dataset.SourceImageSequence[0].ReferencedSOPInstanceUID
                    found.setdefault(str(source), []).append(dataset)
        return found

    def _ask(self, path: str, parameters: dict | None = None) -> requests.Response:
        answer = self._session.get(self.url + path, params=parameters, timeout=60)
        assert answer.ok, (path, answer.status_code)
        return answer


class Worker:
    """`lungseg deploy watch` in a process of its own."""

    def __init__(self, node: Node, folder: Path, *arguments: object, state: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file, self.state = folder / "worker.log", state or folder / "state"
        command = ["deploy", "watch", "--orthanc", node.url, "--state", self.state, *arguments]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lungseg", *map(str, command)],
            stdout=self.log_file.open("a"),
            stderr=subprocess.STDOUT,
            env=os.environ | ENVIRONMENT,
        )

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.log or self.process.poll() is not None, f"no {text!r} in the worker's log")
        assert text in self.log, self.log

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=_SECONDS)
