"""Replays captured requests of the champion to the challenger, and measures each response."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from modelstack.monitoring.captured import REPLAYED, Malformed, Side
from modelstack.monitoring.exchanges import exchange, read
from modelstack.monitoring.log import log
from modelstack.rollout.core.errors import Busy, Unreachable
from modelstack.rollout.core.replay import NONE, Examined, ReplayedRequest, examine, summed
from modelstack.rollout.core.state import Replayed
from modelstack.services.invoke import GATEWAY_TIMEOUT, Invoke, Request, TimedOut

HOURS = 48
"""How far back captures are searched."""
ASKED_AGAIN = 20
"""Number of requests that are also replayed to the champion, for its latency."""
SECONDS = 60.0
"""The time after which a run ends with its current request."""
_KEPT, _LOGGED = 500, 200_000  # characters of an error; a line of CloudWatch's logs has 256 kB

Exchange = tuple[Side, Side]
Latest = Callable[[Counter[str], str], Iterable[tuple[str, Exchange]]]
"""Gives the captured exchanges after a position (or all), each with its position, newest first; counts skipped lines by
reason.
"""


def replay(latest: Latest, invoke: Invoke, *, champion: str, challenger: str, before: Replayed = NONE) -> Replayed:
    """Replay captured requests until all are replayed, or the time is over; the next run continues with `before`.

    Raises `Busy` if the endpoint does not answer now or another variant answered, `RolloutError` if it refuses.
    """
    began, answers, unreadable = time.monotonic(), list[ReplayedRequest](), Counter[str]()
    reached = ""
    for number, (place, captured) in enumerate(latest(unreadable, before.reached), before.requests):
        seconds, examined = _send(invoke, challenger, captured, number)
        again = _send(invoke, champion, captured, number)[0] if number < ASKED_AGAIN else None
        answers.append(ReplayedRequest(examined, seconds, again))
        if time.monotonic() - began > SECONDS:
            reached = place
            break
    return summed(answers, unreadable, before=before, seconds=time.monotonic() - began, reached=reached)


def newest(
    files: Iterable[tuple[str, bytes]], limit: int, unreadable: Counter[str], after: str
) -> Iterator[tuple[str, Exchange]]:
    """Up to `limit` exchanges in files of captures and their positions, the last line of a file first.

    `files` are names and contents, newest first, from the file of the position `after` on (or the next one, if it is
    gone). Counts skipped lines in `unreadable`, by reason.
    """
    found, (begins, _, passed) = 0, after.rpartition("#")
    for name, content in files:
        first = int(passed) + 1 if begins and name == begins else 0
        for number, item in enumerate(read(reversed(content.splitlines()))):
            captured = exchange(item) if number >= first else None
            if isinstance(captured, Malformed):
                unreadable[captured.why] += 1
            elif captured is not None:
                yield f"{name}#{number}", captured
                found += 1
                if found == limit:
                    return


def _send(invoke: Invoke, variant: str, captured: Exchange, number: int) -> tuple[float, Examined]:
    """Send a captured request to a variant: its seconds, and how the answer compares with the captured one."""
    request, recorded = captured
    doing = f"replay a request to {variant}"
    inference_id = f"{REPLAYED}{variant}-{number}"
    asked = Request(request.body, request.content_type, recorded.content_type, variant, inference_id)
    began = time.monotonic()
    try:
        response = invoke.send(asked)
    except TimedOut as error:
        return time.monotonic() - began, _refused(variant, number, GATEWAY_TIMEOUT, str(error))
    except Unreachable as error:
        raise Busy(f"{doing}: {error}") from error
    text = response.body.decode(errors="replace")
    # A gateway's time-out counts as the variant's response.
    if response.variant != variant and (response.variant or response.status != GATEWAY_TIMEOUT):
        if response.variant:
            raise Busy(f"{doing}: {response.variant} answered: the route has no rule for {variant} yet")
        raise Busy(f"{doing}: no variant answered, but the gateway: {response.status} {text[:200]}".rstrip())
    if response.ok:
        return response.seconds, examine(recorded.body, response.body)
    return response.seconds, _refused(variant, number, response.status, text)


def _refused(variant: str, number: int, status: int, text: str) -> Examined:
    """An error response: its beginning is stored, and the log has all of it."""
    said = f"{status}: {text}"
    if len(said) > _KEPT:
        log("replayed request", variant=variant, number=number, said=said[:_LOGGED])
    return Examined("error", f"the answer is an error {said}".rstrip(": "))
