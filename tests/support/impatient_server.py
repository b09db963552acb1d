# SPDX-License-Identifier: Apache-2.0
"""`python impatient_server.py PORT`: the label server's limits with short times; answers the length of each body.

`GET /large` answers more than a connection holds; the answer to `GET /held` ends when its client leaves. Run by MONAI
Label's Python.
"""

from __future__ import annotations

import sys

import uvicorn

from lungseg.workflows.label.server.bodies import LimitBodies, OneLength
from lungseg.workflows.label.server.connections import LimitedConnection


class Impatient(LimitedConnection):
    most, idle = 5, 2.0


async def application(scope, receive, send) -> None:
    length, more = 0, scope["type"] == "http"
    while more:
        message = await receive()
        length, more = length + len(message["body"]), message["more_body"]
    content = bytes(2**26) if scope["path"] == "/large" else str(length).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
    if scope["path"] == "/held":
        await receive()
    await send({"type": "http.response.body", "body": content})


if __name__ == "__main__":
    limited = OneLength(LimitBodies(application, patience=0.5, rate=10**6))
    uvicorn.run(limited, port=int(sys.argv[1]), http=Impatient, lifespan="off", log_level="error")
