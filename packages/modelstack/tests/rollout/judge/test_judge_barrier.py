"""What a metric that need not be proven holds up, and what it does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.judge.evidence import Evidence
from modelstack.rollout.judge.finding import LIKELY
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.rollout.judge.rates import Rates
from modelstack.rollout.judge.verdict import Findings, judge

ERRORS, P99, ACCURACY = (KNOWN[name] for name in ("errors", "latency_p99", "accuracy"))
FINE = Tally(100, 0)
SECOND = 200.0  # when the second of two steps begins


def judged(
    metric: Metric, *seen: tuple[Tally | None, Tally | None], count: int = 20, last: bool = True, alpha: float = 0.05
) -> Findings:
    """So many windows of two versions without errors in each step; for each step what they did on a metric."""
    windows: list[Window] = []
    for at, (champion, challenger) in enumerate(seen):
        one, other = (
            {"errors": FINE} | ({metric.name: tally} if tally else {}) for tally in (champion, challenger)
        )  # fmt: skip
        windows += [Window(at * SECOND + 10 * n, 10, one, other) for n in range(count)]
    starts = [0.0, SECOND][: len(seen)]
    return judge(windows, metrics=[ERRORS, metric], alpha=alpha, starts=starts, segments=2, last=last)


def test_a_latency_of_too_few_requests_holds_up_the_promotion_and_says_how_many_are_lacking() -> None:
    few = Tally(10, 0), Tally(5, 0)
    findings = judged(P99, few, few)
    assert (findings.answer, findings.reason.name) == ("unknown", "latency_p99")
    assert "0.00% of 200 took over 1.5 times the pivot" in findings.reason.text
    assert findings.reason.numbers["evidence_needed_not_worse"] == pytest.approx(LIKELY)


def test_it_holds_up_no_earlier_step() -> None:
    assert judged(P99, (Tally(10, 0), Tally(10, 0)), last=False).answer == "not worse"


def test_it_no_longer_does_with_requests_enough_to_make_it_likely() -> None:
    many = Tally(100, 1), Tally(100, 0)
    findings = judged(P99, many, many)
    assert findings.answer == "not worse"
    assert "none of 2 metrics worse" in findings.reason.text
    assert "more requests" not in findings.reason.text


def test_a_latency_holds_up_the_promotion_until_it_is_known_where_to_cut_it() -> None:
    findings = judged(P99, (None, None), (None, None))
    assert (findings.answer, findings.reason.name) == ("unknown", "latency_p99")
    assert findings.reason.text == (
        "not yet known: latency_p99: waits for the champion's quantile to compare with, known after 1000 of its "
        "requests within an hour"
    )


LABELS = Tally(5, 4)


def test_a_latency_of_which_both_became_much_faster_since_it_was_cut_is_unknown_until_it_is_cut_again() -> None:
    fast = Tally(100, 0), Tally(100, 0)
    assert judged(P99, fast, fast).answer == "unknown"


def test_a_latency_of_which_both_became_much_slower_since_is_compared_with_the_champions() -> None:
    slow, slower = (Tally(100, 40), Tally(100, 10)), (Tally(100, 40), Tally(100, 60))
    assert judged(P99, slow, slow).answer == "not worse"
    assert judged(P99, slower, slower).answer == "worse"


def test_without_a_margin_there_is_nothing_to_wait_for() -> None:
    equal = Tally(100, 1), Tally(100, 1)
    assert judged(replace(P99, margin=0.0), equal, equal).answer == "not worse"


def test_labels_that_did_not_come_hold_up_nothing() -> None:
    assert judged(ACCURACY, (None, None), (None, None)).answer == "not worse"
    assert judged(ACCURACY, (LABELS, LABELS), (None, None)).answer == "not worse"
    assert judged(ACCURACY, (LABELS, LABELS), (LABELS, None)).answer == "not worse"


def test_labels_that_begin_to_come_in_the_last_step_are_waited_for() -> None:
    findings = judged(ACCURACY, (None, None), (LABELS, LABELS))
    assert (findings.answer, findings.reason.name) == ("unknown", "accuracy")
    assert judged(ACCURACY, (None, None), (replace(LABELS, count=200, total=180),) * 2).answer == "not worse"


def test_less_is_never_asked_of_what_must_be_proven_than_of_what_need_not() -> None:
    few = Tally(10, 0), Tally(10, 0)
    assert judged(P99, few, few, alpha=0.5).reason.numbers["evidence_needed_not_worse"] == pytest.approx(2)


@pytest.mark.slow
@pytest.mark.parametrize(("requests", "slower"), [(30, 0.04), (30, 0.0178), (500, 0.04), (500, 0.0178)])
def test_a_p99_worse_by_twice_the_margin_hardly_ever_looks_likely_however_few_requests_a_window_has(
    requests: int, slower: float
) -> None:
    # The shares over 1.5 times the champion's p99 of a latency twice as long: lognormal with sigma 1/2, and Pareto's
    # with index 2.
    source = np.random.default_rng(8)
    passed = 0
    for _ in range(200):
        evidence, best = Evidence(Rates(0.0, guess=0.01, weight=50)), -math.inf
        for _ in range(6000 // requests):
            evidence.bet(*(Tally(requests, int(source.binomial(requests, rate))) for rate in (0.01, slower)))
            best = max(best, evidence.here.not_worse)
        passed += best >= math.log(LIKELY)
    assert passed / 200 <= 0.01
