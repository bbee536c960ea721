"""Does the endpoint answer? Requested on a schedule, so that an endpoint without traffic can be told from a dead one.

    run(invoke, champion.variant, sample(content))      # Outcome(ok=True, milliseconds=12.4, why="")

The request is the one that is sealed in the champion's package, the answer must be sound: finite and not empty. The
champion is requested by name, so that a trial without traffic is not taken for one with some. The serving runtime
captures no copy, by the inference id.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from monitoring.captured import PROBED
from monitoring.published import PROBE_LATENCY, PROBE_SUCCESS
from rollout.core.answers import broken
from rollout.core.errors import RolloutError
from services.invoke import JSON, Invoke, NoSuchVariant, Request, Response

SAMPLE = "example.json"
"""Where an archive has a request that its model answers."""
_SHOWN = 200  # characters of an error's body


class UnreadableSample(ValueError):
    """A package has no request to probe with."""


@dataclass(frozen=True)
class Outcome:
    """What a probe found.

    Attributes:
        ok: Whether a sound answer came.
        milliseconds: How long the answer took, as a caller sees it; None without one.
        why: What was wrong; empty when nothing was.
    """

    ok: bool
    milliseconds: float | None
    why: str

    def metrics(self) -> list[tuple[str, float, str]]:
        """Name, value and unit of what is counted. A failure has no latency: that of a refusal would hide it."""
        found = [(PROBE_SUCCESS, float(self.ok), "Count")]
        if self.ok and self.milliseconds is not None:
            found.append((PROBE_LATENCY, self.milliseconds, "Milliseconds"))
        return found


def sample(content: bytes | None) -> bytes:
    """The body of the request that a package says its model answers.

    Raises:
        UnreadableSample: There is none, or it is no object with instances.
    """
    if content is None:
        raise UnreadableSample(f"the package has no {SAMPLE}: it was sealed before there was a probe; release anew")
    try:
        body: object = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, Mapping) or not cast(Mapping[str, Any], body).get("instances"):
        raise UnreadableSample(f"{SAMPLE}: got {content[:40]!r}, expected an object with instances")
    return content


def run(invoke: Invoke, champion: str, body: bytes) -> Outcome:
    """Send the request once, and judge the answer.

    Args:
        invoke: Sends it.
        champion: The champion's variant. If a promotion has just removed it, whichever variant serves is requested.
        body: The request.
    """
    try:
        response = _send(invoke, champion, body)
    except RolloutError as error:
        return Outcome(ok=False, milliseconds=None, why=str(error))
    if not response.ok:
        text = response.body.decode(errors="replace")[:_SHOWN]
        return Outcome(ok=False, milliseconds=None, why=f"{response.status} {text}".rstrip())
    wrong = broken(response.body)
    return Outcome(ok=wrong is None, milliseconds=1000 * response.seconds, why=wrong or "")


def _send(invoke: Invoke, champion: str, body: bytes) -> Response:
    inference_id = f"{PROBED}{uuid.uuid4().hex}"
    try:
        return invoke.send(Request(body, accept=JSON, variant=champion, inference_id=inference_id))
    except NoSuchVariant:
        return invoke.send(Request(body, accept=JSON, inference_id=inference_id))
