"""A scheduled probe, which distinguishes an endpoint without traffic from a dead one.

It sends the request that is sealed in the champion's package; a sound answer is finite and not empty. It names the
champion, so that the probe is no traffic of a trial. The serving runtime does not capture it, by its inference id.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from modelstack.monitoring.captured import PROBED
from modelstack.monitoring.measurements import Datum
from modelstack.monitoring.published import PROBE_LATENCY, PROBE_SUCCESS
from modelstack.rollout.core.answers import broken
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.core.release import Release
from modelstack.services.invoke import JSON, Invoke, NoSuchVariant, Request, Response

if TYPE_CHECKING:  # it loads the monitors, which a function that only probes does without
    from modelstack.services.promises import Member

SAMPLE = "example.json"
"""The archive's member with a request that its model can answer."""
_SHOWN = 200  # characters of an error's body


class UnreadableSample(ValueError):
    """A package has no request to probe with."""


@dataclass(frozen=True)
class ProbeOutcome:
    """The result of a probe: `milliseconds` as a caller sees them, None without an answer."""

    ok: bool
    milliseconds: float | None
    why: str

    def data(self, at: float) -> list[Datum]:
        """The metrics of a probe at epoch seconds. A failure has no latency: that of a refusal would hide it."""
        found = [Datum(PROBE_SUCCESS, "", float(self.ok), "Count", at)]
        if self.ok and self.milliseconds is not None:
            found.append(Datum(PROBE_LATENCY, "", self.milliseconds, "Milliseconds", at))
        return found


def run(invoke: Invoke, champion: Release, member: Member) -> ProbeOutcome:
    """Send the request in the champion's package once, and judge the answer.

    If a promotion has just removed the champion's variant, the request goes to any serving variant. Raises
    `UnreadableSample` without a request in the package, `RolloutError` if it cannot be read.
    """
    body = _sample(member(champion, SAMPLE))
    try:
        response = _send(invoke, champion.variant, body)
    except RolloutError as error:
        return ProbeOutcome(ok=False, milliseconds=None, why=str(error))
    if not response.ok:
        text = response.body.decode(errors="replace")[:_SHOWN]
        return ProbeOutcome(ok=False, milliseconds=None, why=f"{response.status} {text}".rstrip())
    wrong = broken(response.body)
    return ProbeOutcome(ok=wrong is None, milliseconds=1000 * response.seconds, why=wrong or "")


def _sample(content: bytes | None) -> bytes:
    if content is None:
        raise UnreadableSample(f"the package has no {SAMPLE}: it was sealed before there was a probe; release anew")
    try:
        body: object = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, Mapping) or not cast(Mapping[str, Any], body).get("instances"):
        raise UnreadableSample(f"{SAMPLE}: got {content[:40]!r}, expected an object with instances")
    return content


def _send(invoke: Invoke, champion: str, body: bytes) -> Response:
    inference_id = f"{PROBED}{uuid.uuid4().hex}"
    try:
        return invoke.send(Request(body, accept=JSON, variant=champion, inference_id=inference_id))
    except NoSuchVariant:
        return invoke.send(Request(body, accept=JSON, inference_id=inference_id))
