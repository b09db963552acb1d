# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-untyped-decorators=False
"""The answers to errors: a sentence in `detail`, and mostly a stable `code`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelError,
    MONAILabelException,
)
from starlette.exceptions import HTTPException as StarletteHTTPException

from lungseg.utils.errors import LungsegError


def answer_errors(app: FastAPI) -> None:
    """Let an application answer all the errors that its routes raise."""
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)


def _answer(status: int, detail: str, code: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    content = {"detail": detail} | ({"code": code} if code else {})
    # In ASCII: a name that a client sent may have characters that UTF-8 has not.
    return Response(json.dumps(content), status, headers, media_type="application/json")


def _http_error(request: Request, error: HTTPException) -> Response:
    return _answer(error.status_code, str(error.detail), headers=error.headers)


def _invalid_request(request: Request, error: RequestValidationError) -> Response:
    # The values are not sent back.
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    return _answer(422, f"the request is not valid ({'; '.join(faults[:5])}); /openapi.json has the calls.")


def _lungseg_error(request: Request, error: LungsegError) -> Response:
    return _answer(400, str(error), error.code)


def _monailabel_error(request: Request, error: MONAILabelException) -> Response:
    status = 400 if error.error in (MONAILabelError.INVALID_INPUT, MONAILabelError.APP_INIT_ERROR) else 500
    return _answer(status, error.msg)


def _not_found(request: Request, error: Exception) -> Response:
    return _answer(404, "there is no such study or label.")


_HANDLERS = {
    StarletteHTTPException: _http_error,
    RequestValidationError: _invalid_request,
    LungsegError: _lungseg_error,
    MONAILabelException: _monailabel_error,
    ImageNotFoundException: _not_found,
    LabelNotFoundException: _not_found,
}
