"""Replays captured exchanges, on whatever platform: how many at a time, and what is measured of each.

replay(latest, ask, champion="v-a", challenger="v-b", before=seen)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from monitoring.captured import Malformed, Side
from monitoring.exchanges import exchange, read
from monitoring.log import log
from rollout.core.replay import NONE, Answer, Examined, summed
from rollout.core.state import Replayed

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
Ask = Callable[[str, Exchange, int], tuple[float, Examined]]
"""Sends a request, by its number, to a variant: how long that took, and how the answer compares with what was captured.
"""


def replay(latest: Latest, ask: Ask, *, champion: str, challenger: str, before: Replayed = NONE) -> Replayed:
    """Replay what is captured until all is, or the time is over; the next run goes on there.

    Args:
        latest: Gives at most as many exchanges as are wanted.
        ask: Sends one.
        champion: Whose requests they are.
        challenger: Who is asked now.
        before: What came of those before them.
    """
    began, answers, unreadable = time.monotonic(), list[Answer](), Counter[str]()
    reached = ""
    for number, (place, captured) in enumerate(latest(unreadable, before.reached), before.requests):
        seconds, examined = ask(challenger, captured, number)
        again = ask(champion, captured, number)[0] if number < ASKED_AGAIN else None
        answers.append(Answer(examined, seconds, again))
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


def refused(variant: str, number: int, status: object, text: str) -> Examined:
    """An answer that is an error: its beginning is kept, and the log has all of it."""
    said = f"{status}: {text}"
    if len(said) > _KEPT:
        log("replayed request", variant=variant, number=number, said=said[:_LOGGED])
    return Examined("error", f"the answer is an error {said}".rstrip(": "))
