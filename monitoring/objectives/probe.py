"""Does the endpoint answer? Asked on a schedule, so that one that nobody asks can be told from one that is dead.


    run(sample(content), ask, time.monotonic)      # Outcome(ok=True, milliseconds=12.4, why="")

The request is the one that is sealed in the champion's package, the answer must be sound: finite and not empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from monitoring.published import PROBE_LATENCY, PROBE_SUCCESS
from rollout.core.answers import broken

SAMPLE = "example.json"
"""Where an archive has a request that its model answers."""


class Unanswered(Exception):
    """The endpoint gave no answer, or an error; the message is its own."""


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


def run(body: bytes, ask: Callable[[bytes], bytes], clock: Callable[[], float]) -> Outcome:
    """Ask once, and say what came of it.

    Args:
        body: The request.
        ask: Sends it and returns the answer's body; raises Unanswered.
        clock: Seconds, monotonic.
    """
    began = clock()
    try:
        answer = ask(body)
    except Unanswered as error:
        return Outcome(ok=False, milliseconds=None, why=str(error))
    took = 1000 * (clock() - began)
    wrong = broken(answer)
    return Outcome(ok=wrong is None, milliseconds=took, why=wrong or "")
