"""Writes OpenLineage run events to a file, or sends them to a service."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from modelstack.cli.errors import UNKNOWN, OperatorError
from modelstack.records.lineage.openlineage import Event

KEY = "OPENLINEAGE_API_KEY"
"""The API key's variable in OpenLineage's own clients."""
_SECONDS = 30


def send(events: Sequence[Event], to: str) -> str:
    """Write events to a file, one a line, or POST each to a URL; returns a sentence that says so."""
    if urlsplit(to).scheme not in {"http", "https"}:
        try:
            Path(to).write_text("".join(f"{json.dumps(event)}\n" for event in events))
        except OSError as error:
            raise OperatorError(f"--openlineage {to}: {error.strerror}", exit_code=2) from error
        return f"{len(events)} events are in {to}"
    for event in events:
        _post(event, to)
    return f"{len(events)} events were sent to {to}"


def _post(event: Event, url: str) -> None:
    key = os.environ.get(KEY)
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    request = urllib.request.Request(url, json.dumps(event).encode(), headers, method="POST")  # noqa: S310 - see send
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
            pass
    except (OSError, ValueError) as error:
        raise OperatorError(f"--openlineage {url}: {error}", exit_code=UNKNOWN) from error
