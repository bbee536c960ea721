"""Log lines of failed requests: one line of JSON each, on standard error; answered requests are not logged.

    {"event": "request failed", "kind": "model", "reason": "ValueError: ...", "status": 500, "time": "2026-03-01T..."}

For a caller's mistake the line has only its kind, because the sent data may be confidential. For an unexpected error
it has the traceback, which names lines of code and no data.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelstack.serving.exchange import Exchange

MOST_A_SECOND = 100
"""The most lines; the next one written counts those left out."""
_LONGEST = 1000
_TRACEBACK = 2000  # a longer line could mix with those of other workers: pipes take 4,096 bytes at once
_INFERENCE_ID = b"x-amzn-sagemaker-inference-id"


class FailureLog:
    """Writes the lines of one process."""

    def __init__(self) -> None:
        self._second = 0
        self._written = self._left_out = 0

    def write(
        self,
        status: int,
        kind: str,
        reason: str,
        exchange: Exchange | None = None,
        error: Exception | None = None,
    ) -> None:
        """Write one failure; `kind` is one of `metrics.FAILURES`, `exchange` the request, if it became one."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= MOST_A_SECOND:
            self._left_out += 1
            return
        self._written += 1
        line: dict[str, Any] = {"event": "request failed", "kind": kind, "status": status}
        line["time"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        if status >= 500:
            line["reason"] = reason[:_LONGEST]
        if error is not None:
            line["traceback"] = "".join(traceback.format_tb(error.__traceback__))[-_TRACEBACK:]
        if exchange is not None:
            line |= _facts(exchange)
        if self._left_out:
            line["lines_left_out"], self._left_out = self._left_out, 0
        # `print` writes the end of the line by itself, and the lines of several workers would mix.
        sys.stderr.write(json.dumps(line, sort_keys=True) + "\n")
        sys.stderr.flush()


def _facts(exchange: Exchange) -> dict[str, Any]:
    found: dict[str, Any] = {"path": exchange.path.decode("latin-1")[:200], "bytes": len(exchange.body)}
    trace = exchange.headers.get(b"traceparent")
    if trace:
        found["trace"] = trace.decode("latin-1")[:200]
    inference = exchange.headers.get(_INFERENCE_ID)
    if inference:
        found["inference_id"] = inference.decode("latin-1")[:200]
    return found
