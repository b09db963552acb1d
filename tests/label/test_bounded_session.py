# SPDX-License-Identifier: Apache-2.0
"""Answers of a DICOMweb service that do not end, or that are too large, are given up."""

from __future__ import annotations

import gzip
import time
from http.server import BaseHTTPRequestHandler

import pytest
import requests
from pretended_dicomweb import serving

from lungseg.workflows.label.store.bounded_session import BoundedSession

pytestmark = pytest.mark.safety("service-that-hangs")


class Service(BaseHTTPRequestHandler):
    """Answers in the way that the path names, until the client gives up."""

    timeout = 60

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        try:
            match self.path:
                case "/plain":
                    self.wfile.write(b"content")
                case "/packed":
                    self.wfile.write(gzip.compress(bytes(1_000_000)))
                case "/silent":
                    self.rfile.read(1)
                case "/endless":
                    for _ in range(100 * self.timeout):
                        self.wfile.write(b"x")
                        time.sleep(0.01)
        except OSError:  # the client gave up
            pass

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def service():
    with serving(Service) as url:
        yield url


def test_an_answer_is_complete(service):
    answer = BoundedSession().get(f"{service}/plain")
    assert (answer.status_code, answer.content, answer.text) == (200, b"content", "content")


@pytest.mark.parametrize("path", ["silent", "endless"])
def test_an_answer_that_takes_too_long_is_given_up(service, path):
    with pytest.raises((requests.Timeout, requests.ConnectionError)):
        BoundedSession(seconds=0.3).get(f"{service}/{path}")


def test_an_answer_is_not_unpacked_beyond_the_limit(service):
    assert len(BoundedSession().get(f"{service}/packed").content) == 1_000_000
    with pytest.raises(requests.ConnectionError):
        BoundedSession(most=100_000).get(f"{service}/packed")
