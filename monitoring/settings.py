"""What a handler is told by its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol


class Context(Protocol):
    """What Lambda tells a handler about its call."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the call is cut off."""
        ...


@dataclass(frozen=True)
class Settings:
    """The environment variables of a handler.

    Attributes:
        endpoint: `ENDPOINT_NAME`.
        journal: `JOURNAL_TABLE`, the DynamoDB table.
        topic: `ALERTS_TOPIC`, an ARN; None without.
        bucket: `ARTIFACT_BUCKET`, where packages and captures lie.
        min_rows: `DRIFT_MIN_ROWS`, the fewest captured rows that drift is told from.
        labels: `LABELS_TABLE`, the DynamoDB table of the labels' ledger.
        stack: `MODELSTACK_STACK`, which messages name in the commands that they tell.
        labels_wait: `LABELS_WAIT_SECONDS`, how long a label waits for its answer before it counts as unknown.
    """

    endpoint: str
    journal: str
    topic: str | None
    bucket: str
    min_rows: int
    labels: str = ""
    stack: str = ""
    labels_wait: float = 3600.0

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the environment.

        Raises:
            ValueError: A variable is missing or not allowed; the message names it.
        """
        rows = os.environ.get("DRIFT_MIN_ROWS", "300")
        if not rows.isdigit() or int(rows) < 1:
            raise ValueError(f"environment variable DRIFT_MIN_ROWS: got {rows!r}, expected a whole number above 0")
        wait = os.environ.get("LABELS_WAIT_SECONDS", "3600")
        if not wait.isdigit() or int(wait) < 1:
            raise ValueError(f"environment variable LABELS_WAIT_SECONDS: got {wait!r}, expected a whole number above 0")
        return cls(
            endpoint=_required("ENDPOINT_NAME"),
            journal=_required("JOURNAL_TABLE"),
            topic=os.environ.get("ALERTS_TOPIC") or None,
            bucket=os.environ.get("ARTIFACT_BUCKET", ""),
            min_rows=int(rows),
            labels=os.environ.get("LABELS_TABLE", ""),
            stack=os.environ.get("MODELSTACK_STACK", ""),
            labels_wait=float(wait),
        )


def seconds_left(context: Context | None, *, most: float, reserve: float = 10.0) -> float:
    """How long a handler may wait: until `reserve` seconds before it is cut off, and at most `most`."""
    if context is None or not hasattr(context, "get_remaining_time_in_millis"):
        return most
    return max(0.0, min(most, context.get_remaining_time_in_millis() / 1000 - reserve))


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ValueError(f"environment variable {name}: missing, expected what the stack's output of that name says")
    return value
