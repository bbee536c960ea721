"""Lines of captures, as SageMaker's data capture and the serving runtime write them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any


def line(asked: Any = None, answered: Any = None, *, encoding: str = "JSON", **meta: Any) -> bytes:
    """A captured exchange: each side a text, or a value as JSON; None was not captured."""
    sides: dict[str, Any] = {}
    for name, body in (("endpointInput", asked), ("endpointOutput", answered)):
        if body is not None:
            data = body if isinstance(body, str) else json.dumps(body)
            data = base64.b64encode(data.encode()).decode() if encoding == "BASE64" else data
            sides[name] = {"data": data, "encoding": encoding}
    return json.dumps({"captureData": sides, "eventMetadata": meta}).encode()


def answers(*given: tuple[str | None, Any, Any], at: float, event: str, **meta: Any) -> bytes:
    """A file of answers that were given at a time, epoch seconds.

    Args:
        given: Inference id, decision and probability; or a list of pairs of these instead of the decision.
        at: The time.
        event: What event ids begin with.
        meta: More of `eventMetadata`.
    """
    meta = {"inferenceTime": f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}", **meta}
    lines: list[bytes] = []
    for number, (inference_id, late, probability) in enumerate(given):
        several = late if isinstance(late, list) else [(late, probability)]
        sides = {"instances": [{}] * len(several)}, {"predictions": [{"late": one, "p": p} for one, p in several]}
        known = {"inferenceId": inference_id} if inference_id else {}
        lines.append(line(*sides, **{"eventId": f"{event}-{number}", **known, **meta}))
    return b"\n".join(lines)
