# SPDX-License-Identifier: Apache-2.0
# mypy: disallow-subclassing-any=False
"""The server's connections: their number, and the time that each of them can stand idle, are limited."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import uvicorn
from monailabel.main import Main
from monailabel.utils.others.generic import init_log_config
from uvicorn.protocols.http.h11_impl import H11Protocol

# A browser opens up to six. Most systems let a process open 1024 files.
MOST_CONNECTIONS = 400
_IDLE = 30.0


class LimitedConnection(H11Protocol):
    """uvicorn's connection, which ends if its client neither completes a request's head nor takes any of the answer.

    uvicorn itself ends only connections that are silent between two requests. `LimitBodies` limits the time of a body.

    Attributes:
        most: connections at a time.
        idle: seconds that a client can keep the server waiting.
    """

    most = MOST_CONNECTIONS
    idle = _IDLE
    _timer: asyncio.TimerHandle | None = None
    _unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
        else:
            self._wait_for_client()

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._wait_for_app()

    def on_response_complete(self) -> None:
        # The client may still send a body that was refused; it is read and dropped.
        self._wait_for_client()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_for_client()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_for_app()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wait_for_app()

    def _wait_for_app(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait_for_client(self) -> None:
        self._wait_for_app()
        self._unsent = self.transport.get_write_buffer_size()
        self._timer = self.loop.call_later(self.idle, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self.transport.get_write_buffer_size() < self._unsent:
            self._wait_for_client()
        else:
            self.transport.abort()


class Server(Main):
    """MONAI Label's start of a server, with limited connections."""

    def action_start_server(self, args: argparse.Namespace) -> None:
        """Start the server, and return when it was stopped."""
        self.start_server_validate_args(args)
        self.start_server_init_settings(args)
        # MONAI Label would leave this file in the temporary folder.
        log_file = Path(init_log_config(None, args.app, "app.log", args.verbose))
        log_config = json.loads(log_file.read_text())
        log_file.unlink()
        uvicorn.run(
            args.uvicorn_app,
            host=args.host,
            port=args.port,
            log_level=args.log_level,
            log_config=log_config,
            access_log=args.access_log,
            http=LimitedConnection,
            ws="none",
            server_header=False,
        )
