"""One request to the model that was just built, and the chain from its answer back to data, commit and person."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from demos import ROOT
from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.invoke import answer_of
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.cli.trace.answer import Trace
from modelstack.cli.trace.read import read
from modelstack.monitoring.predictions import Window
from modelstack.services.invoke import Request

EXAMPLE = ROOT / "model" / "example_request.json"
_CAPTURED_SECONDS = 120.0
_PAUSE_SECONDS = 2.0


def traced(target: Target, body: Path = EXAMPLE) -> Trace:
    """Ask the model once, and trace its answer as soon as it is captured.

    Args:
        target: Whose endpoint; all of its answers are captured.
        body: The payload, JSON.

    Raises:
        OperatorError: It gives no answer, or the answer is captured by no means within two minutes.
    """
    name, asked_at = f"pipeline-{uuid.uuid4().hex[:12]}", time.time()
    with explained(f"invoking {target.endpoint}"):
        answer_of(platform_of(target).invoke(), Request(body.read_bytes(), inference_id=name))
    end = time.monotonic() + _CAPTURED_SECONDS
    while True:
        try:
            return read(target, name, Window(since=asked_at - 60))
        except OperatorError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE_SECONDS)
