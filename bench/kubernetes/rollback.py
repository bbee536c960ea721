"""How long a release that fails keeps its share: from its first bad answer to the last one that a caller got."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from bench.bed import BenchError
from bench.kubernetes.arithmetic import (
    FLAGGER_EXAMPLE,
    FLAGGER_INTERVAL_S,
    FLAGGER_THRESHOLD,
    flagger_seconds,
    quantile,
)
from bench.kubernetes.load import Seen
from bench.kubernetes.place import until
from bench.kubernetes.served import Served
from bench.rows import Row, sized
from demos.versions import as_good, at_fault

_RUNS = 7
_RATE = 80.0  # requests a second, of which the release gets a tenth
_QUIET_S = 2.0  # with no answer of it, after which it has no share any more
_FAILED = 500  # the answer of a model that fails


@dataclass(frozen=True)
class _Run:
    """One rollback.

    Attributes:
        seconds: From its first bad answer to its last answer.
        failed: How many bad answers callers got.
        source: What took it back: an alarm, or the judge.
    """

    seconds: float
    failed: int
    source: str


def rows(served: Served) -> list[Row]:
    """Release a version that fails each request, as often as is worth its time, and see it taken back."""
    with served.asked(_RATE) as seen:
        runs = [_taken_back(served, seen) for _ in range(sized(_RUNS, 1))]
    spent = [run.seconds for run in runs]
    sources = ", ".join(
        f"{sum(run.source == one for run in runs)} by {one}" for one in sorted({r.source for r in runs})
    )
    failed = statistics.median(run.failed for run in runs)
    beside = (
        f"worst of {len(runs)}, median {statistics.median(spent):.1f} s; {sources}; scrapes each 5 s, "
        f"{failed:.0f} bad answers (median) at {_RATE:.0f}/s and 10%. Flagger, by its own formula interval x threshold "
        f"(its page Deployment Strategies): {flagger_seconds(FLAGGER_INTERVAL_S, FLAGGER_THRESHOLD):.0f} s with the "
        f"defaults of its code ({FLAGGER_INTERVAL_S} s, {FLAGGER_THRESHOLD}), "
        f"{flagger_seconds(FLAGGER_INTERVAL_S, FLAGGER_EXAMPLE):.0f} s with that page's example (threshold "
        f"{FLAGGER_EXAMPLE})"
    )
    return [Row("k8s_rollback_s", round(quantile(spent, 1), 1), "s", "<= 10", beside)]


def _taken_back(served: Served, seen: Seen) -> _Run:
    """Put a faulty version on trial under the load that runs, and wait until the update tells that it is out again."""
    before = served.state.champion
    begun = time.monotonic()
    done = at_fault(as_good(served.stack, served.place.folder), served.place.folder).up()
    state = served.state
    verdict = state.last
    if done.code == 0 or verdict is None or verdict.outcome != "rolled_back":
        ended = verdict.reason.text if verdict is not None else done.output[-2000:]
        raise BenchError(f"a faulty release was not taken back: {ended}")
    if state.champion != before:
        raise BenchError(f"the champion is {state.champion}, and was {before}")
    variant = f"v-{verdict.release}"
    until(lambda: _over(seen, variant, begun), f"{variant} answers no more")
    answers = seen.by(variant, begun)
    failed = [answer for answer in answers if answer.status == _FAILED]
    if not failed:
        raise BenchError("the faulty release never answered a request, so nothing was measured")
    first = min(answer.at for answer in failed)
    return _Run(max(answer.at for answer in answers) - first, len(failed), verdict.reason.source)


def _over(seen: Seen, variant: str, begun: float) -> bool:
    answers = seen.by(variant, begun)
    return not answers or time.monotonic() - max(answer.at for answer in answers) > _QUIET_S
