# SPDX-License-Identifier: Apache-2.0
"""Every route that the server has; a test compares this list with the running server.

Of MONAI Label's routes, only those that the page, 3D Slicer and scripts need are served. Not served are those that read
files by their path (wsi), fetch from other servers (proxy), send or replace weights (model), unpack or make archives
(session, dataset), write the list of studies from other processes (batch, scoring), store anything that a client sends
(info), or load scripts from other servers (logs).
"""

from __future__ import annotations

from typing import NamedTuple

from starlette.routing import compile_path


class Route(NamedTuple):
    """One route.

    Args:
        method, path: of its requests; the path is a pattern as Starlette has it.
        public: answered without a token, even where authentication is on.
        files: its body is a form with a file; all other bodies are small.
    """

    method: str
    path: str
    public: bool = False
    files: bool = False


ROUTES = (
    # The page.
    Route("GET", "/", public=True),
    Route("GET", "/lungseg", public=True),
    Route("GET", "/lungseg/", public=True),
    Route("GET", "/lungseg/page/{path:path}", public=True),
    Route("GET", "/lungseg/studies"),
    Route("GET", "/lungseg/studies/{image}/picture"),
    Route("GET", "/lungseg/studies/{image}/label"),
    Route("GET", "/lungseg/versions"),
    Route("POST", "/lungseg/versions/{number}/activate"),
    # MONAI Label's calls.
    Route("GET", "/openapi.json"),
    Route("GET", "/info/"),
    Route("POST", "/infer/{model}", files=True),
    Route("GET", "/datastore/"),
    Route("PUT", "/datastore/", files=True),
    Route("GET", "/datastore/image"),
    Route("PUT", "/datastore/image", files=True),
    Route("DELETE", "/datastore/image"),
    Route("GET", "/datastore/label"),
    Route("PUT", "/datastore/label", files=True),
    Route("DELETE", "/datastore/label"),
    Route("GET", "/train/"),
    Route("POST", "/train/"),
    Route("DELETE", "/train/"),
    Route("POST", "/train/{model}"),
    Route("POST", "/activelearning/{strategy}"),
)
# Only where authentication is on.
SIGN_IN_ROUTES = (
    Route("GET", "/auth/", public=True),
    Route("POST", "/auth/token", public=True),
    Route("GET", "/auth/token/valid"),
)
_PATTERNS = [(route, compile_path(route.path)[0]) for route in (*ROUTES, *SIGN_IN_ROUTES)]


def find_route(method: str, path: str) -> Route:
    """Return the route that answers a request; a path that is not in the list needs a token and takes no files."""
    for route, pattern in _PATTERNS:
        if route.method == method and pattern.match(path):
            return route
    return Route(method, path)
