"""Replays captured requests of the champion to the challenger: how many at a time, and what is measured of each.

replay(latest, invoke, champion="v-a", challenger="v-b", before=seen)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from monitoring.captured import REPLAYED, Malformed, Side
from monitoring.exchanges import exchange, read
from monitoring.log import log
from rollout.core.errors import Busy, Unreachable
from rollout.core.replay import NONE, Examined, ReplayedRequest, examine, summed
from rollout.core.state import Replayed
from services.invoke import GATEWAY_TIMEOUT, Invoke, Request, TimedOut

HOURS = 48
"""How far back captures are looked for."""
ASKED_AGAIN = 20
"""Requests that the champion answers again, for its latency."""
SECONDS = 60.0
"""After which a run ends with the request that it is at."""
_KEPT, _LOGGED = 500, 200_000  # characters of an error; a line of CloudWatch's logs has 256 kB

Exchange = tuple[Side, Side]
Latest = Callable[[Counter[str], str], Iterable[tuple[str, Exchange]]]
"""Gives the captured exchanges, each with its place, the latest first: those after a place, or all where it is empty.
It counts by the reason what it passes over."""


def replay(latest: Latest, invoke: Invoke, *, champion: str, challenger: str, before: Replayed = NONE) -> Replayed:
    """Replay captured requests until all are replayed, or the time is over; the next run continues there.

    Args:
        latest: Gives at most as many exchanges as are needed.
        invoke: Sends the requests.
        champion: The variant whose requests were captured.
        challenger: The variant that answers now.
        before: The outcome of the requests before them.

    Raises:
        Busy: The endpoint does not answer now, or it was not the variant that answered.
        RolloutError: The platform refuses a request, or the captures cannot be read.
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
    """The exchanges in files of captures, each with its place, the last line of a file first.

    Args:
        files: Name -> content, newest first; they begin with the file of `after`, or the next one if it is gone.
        limit: At most how many exchanges.
        unreadable: Counts the lines that are passed over, by the reason.
        after: Only those after this place; empty for all.
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
    # That a gateway waited in vain for the variant is the variant's answer, too.
    if response.variant != variant and (response.variant or response.status != GATEWAY_TIMEOUT):
        if response.variant:
            raise Busy(f"{doing}: {response.variant} answered: the route has no rule for {variant} yet")
        raise Busy(f"{doing}: no variant answered, but the gateway: {response.status} {text[:200]}".rstrip())
    if response.ok:
        return response.seconds, examine(recorded.body, response.body)
    return response.seconds, _refused(variant, number, response.status, text)


def _refused(variant: str, number: int, status: int, text: str) -> Examined:
    """An answer that is an error: its beginning is stored, and the log has all of it."""
    said = f"{status}: {text}"
    if len(said) > _KEPT:
        log("replayed request", variant=variant, number=number, said=said[:_LOGGED])
    return Examined("error", f"the answer is an error {said}".rstrip(": "))
