"""How does a program talk to the engine? As with the SDK's own stub, but it does not stop for each debug line.

The SDK reports every step of every resource at debug level, several lines a resource, and waits for each to arrive: in
a program of 60 resources that is more than its own work. The engine shows them with `--debug` only.
"""

import contextlib
import itertools
import threading
import time
from collections import deque
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

_TOGETHER_S = 0.05


class Engine:
    """The engine's stub. Debug lines of the same moment go as one message, in their order, before any other line."""

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self._held: deque[engine_pb2.LogRequest] = deque()
        self._holds = threading.Event()
        self._sending = threading.Lock()
        threading.Thread(target=self._send_late, name="debug lines", daemon=True).start()

    @classmethod
    def at(cls, address: str) -> "Engine":
        """Connect to the engine at `host:port`."""
        return cls(engine_pb2_grpc.EngineStub(grpc.insecure_channel(address, options=_GRPC_CHANNEL_OPTIONS)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stub, name)

    def Log(self, request: engine_pb2.LogRequest, **options: Any) -> empty_pb2.Empty:
        """Send a line; return once it has arrived, unless it is of debug level."""
        if request.severity == engine_pb2.DEBUG:
            self._held.append(request)
            self._holds.set()
            return empty_pb2.Empty()
        self.flush()
        return self._stub.Log(request, **options)

    def flush(self) -> None:
        """Send what is held. An engine that has gone does not need it any more."""
        with self._sending, contextlib.suppress(grpc.RpcError):
            held = [self._held.popleft() for _ in range(len(self._held))]
            for (urn, stream, passing), lines in itertools.groupby(held, _place):
                message = "\n".join(line.message for line in lines)
                self._stub.Log(
                    engine_pb2.LogRequest(
                        severity=engine_pb2.DEBUG, message=message, urn=urn, streamId=stream, ephemeral=passing
                    )
                )

    def _send_late(self) -> None:
        while self._holds.wait():
            time.sleep(_TOGETHER_S)
            self._holds.clear()
            self.flush()


def _place(line: engine_pb2.LogRequest) -> tuple[str, int, bool]:
    return line.urn, line.streamId, line.ephemeral
