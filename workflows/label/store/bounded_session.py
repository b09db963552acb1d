# SPDX-License-Identifier: Apache-2.0
"""An HTTP session whose answers end, so that a service that hangs does not stop the server for good."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from lungseg.io.limits import MAX_BYTES

_TO_CONNECT = 10.0
_BETWEEN_BYTES = 30.0
_PART = 2**16


class BoundedSession(requests.Session):
    """Raises `requests.ConnectionError` or `requests.Timeout` for an answer that is too large or takes too long.

    Args:
        seconds: for a whole answer.
        most: bytes of an answer.
    """

    def __init__(self, seconds: float = 120.0, most: int = MAX_BYTES) -> None:
        super().__init__()
        self.seconds, self.most = seconds, most

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request, and return the answer with its content."""
        until = time.monotonic() + self.seconds
        options = {"timeout": (_TO_CONNECT, min(_BETWEEN_BYTES, self.seconds))} | options | {"stream": True}
        with super().request(*arguments, **options) as answer:
            try:
                content = b"".join(self._parts(answer, until))
            except HTTPError as error:
                raise requests.ConnectionError(f"the answer breaks off ({type(error).__name__})") from error
            # As `requests` itself keeps a content that it has read.
            vars(answer).update(_content=content, _content_consumed=True)
        return answer

    def _parts(self, answer: requests.Response, until: float) -> Iterator[bytes]:
        size = 0
        # One that arrives a byte at a time would fill a part of fixed size for ever.
        while part := answer.raw.read1(_PART, decode_content=True):
            size += len(part)
            if size > self.most:
                raise requests.ConnectionError(f"the answer has more than {self.most} bytes")
            if time.monotonic() > until:
                raise requests.Timeout(f"the answer takes more than {self.seconds:g} seconds")
            yield part
