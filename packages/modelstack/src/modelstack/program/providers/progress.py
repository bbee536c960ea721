"""Progress messages of a provider, shown next to its resource during `pulumi up`."""

from __future__ import annotations

import sys
import time
from typing import Any

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

PAUSE_SECONDS = 2.0


class Progress:
    """Reports to the engine for one resource.

        progress = Progress(urn)
        progress("training on 27,004 flights")     # shown until the next line
        progress.note("10% of traffic")            # stays in the update's diagnostics

    Pulumi passes the engine's `host:port` to a provider process as its last argument; without one, lines go to stderr.
    """

    def __init__(self, urn: str, address: str | None = None) -> None:
        self._urn = urn
        self._address = address if address is not None else sys.argv[-1]
        self._engine: Any = None
        self._last = ("", -PAUSE_SECONDS)

    def __call__(self, text: str, *, at_once: bool = False) -> None:
        """Show a line until the next one. Repeated lines are dropped, and fast ones unless `at_once`."""
        before, at = self._last
        now = time.monotonic()
        if text != before and (at_once or now - at >= PAUSE_SECONDS):
            self._last = (text, now)
            self._log(text, passing=True)

    def note(self, text: str) -> None:
        """Show a line that stays."""
        self._log(text, passing=False)

    def _log(self, text: str, *, passing: bool) -> None:
        host, _, port = self._address.rpartition(":")
        if not (host and port.isdigit()):
            print(text, file=sys.stderr)
            return
        if self._engine is None:
            self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(self._address))
        line = engine_pb2.LogRequest(
            severity=engine_pb2.INFO, message=text, urn=self._urn, streamId=0, ephemeral=passing
        )
        try:
            self._engine.Log(line, timeout=5)
        except grpc.RpcError:  # the engine is shutting down; the work must not fail for that
            print(text, file=sys.stderr)
