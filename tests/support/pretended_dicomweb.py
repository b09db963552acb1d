# SPDX-License-Identifier: Apache-2.0
"""A DICOMweb service in this process, with the calls that the MONAI Label app makes: one series of one radiograph."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_UIDS = ("1.2.3", "1.2.3.4", "1.2.3.9.0")
_TAGS = ("0020000D", "0020000E", "00080018")


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Run a handler on loopback, and yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def described(study: str, series: str, instance: str) -> dict:
    """Return a series or an instance as a service lists it."""
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in zip(_TAGS, (study, series, instance), strict=True)}


@contextmanager
def pretended_dicomweb(file: Path, odd: Sequence[object] = ()) -> Iterator[str]:
    """Serve a file as the one instance, and yield the service's URL.

    Args:
        file: the instance.
        odd: further entries of each list, first.
    """
    listed = json.dumps([*odd, described(*_UIDS)]).encode()
    head = b"--x\r\nContent-Type: application/dicom\r\n\r\n"

    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(f"/instances/{_UIDS[2]}"):
                self.answer("multipart/related; boundary=x", head + file.read_bytes() + b"\r\n--x--")
            else:
                self.answer("application/dicom+json", b"[]" if "Modality=DX" in self.path else listed)

        def answer(self, kind: str, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_) -> None:
            pass

    with serving(Service) as url:
        yield url
