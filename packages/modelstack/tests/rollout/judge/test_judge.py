from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelstack.rollout.core import catalogue
from modelstack.rollout.judge.metrics import Metric, PromoteWhen, Tally, Window
from modelstack.rollout.judge.verdict import Findings, judge

ALPHA = 0.05
ERRORS = Metric("errors", "rate", margin=0.02)
P99 = Metric("latency_p99", "quantile", margin=0.5, quantile=0.99, prove=False)
P50 = Metric("latency_p50", "quantile", margin=0.25, quantile=0.5)
LOSS = Metric("log_loss", "mean", margin=0.05, high=5.0)
ALL = (ERRORS, P99, P50, LOSS)

Random = np.random.Generator


def rates(*seen: tuple[int, int, int, int], name: str = "errors", start: float = 0.0) -> list[Window]:
    """Windows of ten seconds of a rate: champion's observations and ones, challenger's observations and ones."""
    return [
        Window(start + 10 * at, 10, {name: Tally(n0, k0)}, {name: Tally(n1, k1)})
        for at, (n0, k0, n1, k1) in enumerate(seen)
    ]


class Model:
    """Something that answers: errors as given, latency lognormal with the given median, an exponential loss."""

    def __init__(self, errors: float = 0.01, median: float = 0.05, loss: float = 0.4) -> None:
        self.errors, self.median, self.loss = errors, median, loss

    def answers(self, source: Random, count: int, slower: float) -> dict[str, Tally]:
        """Tallies of all metrics; `slower` is what the thresholds are multiplied with: 0 none, 1 the margins."""
        latency = source.lognormal(math.log(self.median), 0.5, count)
        loss = np.minimum(source.exponential(self.loss, count), 5.0)
        pivots = {P50: 0.05, P99: 0.05 * math.exp(0.5 * 2.326)}
        counted = {
            metric.name: Tally(count, int((latency > pivot * (1 + slower * metric.margin)).sum()))
            for metric, pivot in pivots.items()
        }
        failed = int(source.binomial(count, self.errors))
        loss_seen = Tally(count, float(loss.sum()), float((loss**2).sum()))
        return {"errors": Tally(count, failed), "log_loss": loss_seen, **counted}


def trial(
    source: Random,
    shares: Iterable[tuple[int, int]],
    champion: Callable[[int], Model],
    challenger: Callable[[int], Model],
) -> list[Window]:
    return [
        Window(10 * at, 10, champion(at).answers(source, n0, 0), challenger(at).answers(source, n1, 1))
        for at, (n0, n1) in enumerate(shares)
    ]


def found(
    shares: Sequence[tuple[int, int]],
    challenger: Callable[[int], Model],
    *,
    champion: Callable[[int], Model] = lambda _: Model(),
    trials: int = 40,
    metrics: Sequence[Metric] = ALL,
    promote_when: PromoteWhen = "not_worse",
) -> list[Findings]:
    """What is found at the end; `worse` there means that it was found at some look, as it stays found."""
    source = np.random.default_rng(7)
    turns = [10.0 * at for at in range(1, len(shares)) if shares[at] != shares[at - 1]]
    windows = (trial(source, shares, champion, challenger) for _ in range(trials))
    rules = {"alpha": ALPHA, "starts": [0.0, *turns], "segments": len(turns) + 1}
    return [judge(seen, metrics=metrics, promote_when=promote_when, **rules) for seen in windows]


def share(findings: list[Findings], answer: str) -> float:
    return [item.answer for item in findings].count(answer) / len(findings)


STEPS = [(190, 10)] * 15 + [(150, 50)] * 15 + [(100, 100)] * 15
EVEN = [(200, 200)] * 40


@pytest.mark.slow
def test_an_equal_challenger_is_rolled_back_at_most_alpha_of_the_time_by_all_metrics_together() -> None:
    assert share(found(STEPS, lambda _: Model(), trials=60), "worse") <= ALPHA


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metrics", "challenger"),
    [((ERRORS,), Model(errors=0.03)), ((P50,), Model(median=0.0625)), ((P99,), Model(median=0.075)),
     ((LOSS,), Model(loss=0.45))],
)  # fmt: skip
def test_a_challenger_worse_by_just_the_margin_is_judged_wrongly_at_most_alpha_of_the_time(
    metrics: tuple[Metric, ...], challenger: Model
) -> None:
    # The hardest case of both promises.
    findings = found(STEPS, lambda _: challenger, metrics=metrics, trials=60)
    assert share(findings, "worse") <= ALPHA
    assert share(findings, "not worse") <= ALPHA


@pytest.mark.slow
@pytest.mark.parametrize(
    ("by", "challenger"),
    [("errors", Model(errors=0.05)), ("latency_p50", Model(median=0.075)), ("latency_p99", Model(median=0.1)),
     ("log_loss", Model(loss=0.5))],
)  # fmt: skip
def test_a_challenger_worse_by_twice_a_margin_is_found_and_never_passes(by: str, challenger: Model) -> None:
    findings = found(EVEN, lambda _: challenger, trials=20)
    on_it = [item.answer for one in findings for item in one.each if item.metric == by]
    assert on_it.count("worse") > 18
    assert share(findings, "not worse") == 0


def test_an_equal_challenger_with_enough_traffic_passes() -> None:
    assert share(found(EVEN, lambda _: Model(), trials=20), "not worse") > 0.9


def test_a_gross_failure_at_five_percent_is_found_within_two_windows() -> None:
    assert share(found([(380, 20)] * 2, lambda _: Model(errors=0.5), trials=100), "worse") > 0.97


def drifting(at: int) -> Model:
    return Model() if at < 25 else Model(errors=0.1, median=0.1, loss=0.8)


@pytest.mark.slow
def test_a_drift_that_both_share_does_not_look_worse_even_while_the_weights_change() -> None:
    # Pooled over time the challenger looks worse on every metric.
    findings = found([(190, 10)] * 25 + [(100, 100)] * 50, drifting, champion=drifting)
    assert share(findings, "worse") <= ALPHA
    latency = [item.answer for one in findings for item in one.each if item.metric == "latency_p50"]
    assert latency.count("not worse") > 38


def test_champions_answers_from_when_the_challenger_had_no_traffic_are_not_compared_with_later_ones() -> None:
    alone = rates(*[(200, 2, 0, 0)] * 50)
    findings = judge(
        [*alone, *rates(*[(100, 20, 5, 1)] * 4, start=500)], metrics=[replace(ERRORS, margin=0.0)], alpha=ALPHA
    )
    assert findings.each[0].reason.numbers["evidence_worse"] < 2


def test_what_was_left_of_a_step_is_not_compared_together_with_the_next() -> None:
    # Too few for a block of their own; then both fail ten times as often, just as the challenger gets half the traffic.
    windows = rates((400, 8, 4, 0)) + rates(*[(100, 20, 100, 20)] * 2, start=10)
    strict = replace(ERRORS, margin=0.0)
    findings = judge(windows, metrics=[strict], alpha=ALPHA, starts=[0, 10], segments=2)
    assert findings.reason.numbers["evidence_worse"] < 2


def test_a_failure_that_begins_at_a_later_step_is_found_although_the_first_was_clean() -> None:
    windows = rates(*[(90, 1, 10, 0)] * 200) + rates(*[(50, 1, 50, 10)] * 4, start=2000)
    assert judge(windows, metrics=[ERRORS], alpha=ALPHA, starts=[0, 2000], segments=2).answer == "worse"


def test_what_was_found_worse_once_stays_found() -> None:
    windows = rates(*[(50, 1, 50, 20)] * 3, *[(50, 1, 50, 0)] * 500)
    assert judge(windows[:3], metrics=[ERRORS], alpha=ALPHA).answer == "worse"
    assert judge(windows, metrics=[ERRORS], alpha=ALPHA).answer == "worse"


def test_every_metric_more_asks_for_more_evidence_that_one_is_worse_but_not_that_all_are_well() -> None:
    for count in (1, 2, 4):
        numbers = judge([], metrics=ALL[:count], alpha=ALPHA).each[0].reason.numbers
        assert numbers["evidence_needed_worse"] == pytest.approx(count / ALPHA)
        assert numbers["evidence_needed_not_worse"] == pytest.approx(1 / ALPHA)
        assert "evidence_needed_better" not in numbers


def test_every_metric_more_that_may_be_better_asks_for_more_evidence_that_one_is() -> None:
    findings = judge(
        [], metrics=ALL, alpha=ALPHA, promote_when="better"
    )  # P99 need not, and P50 cannot, be shown better
    assert findings.each[0].reason.numbers["evidence_needed_better"] == pytest.approx(2 / ALPHA)


def both(*, champion: dict[str, Tally], challenger: dict[str, Tally], count: int = 60) -> list[Window]:
    return [Window(10 * at, 10, champion, challenger) for at in range(count)]


GOOD, BAD, WELL = Tally(100, 0), Tally(100, 30), Tally(100, 1)
OTHER = Metric("refunds", "rate", margin=0.02)


def test_one_metric_worse_is_worse_and_is_named() -> None:
    windows = both(champion={"errors": WELL, "refunds": WELL}, challenger={"errors": WELL, "refunds": BAD})
    findings = judge(windows, metrics=[ERRORS, OTHER], alpha=ALPHA)
    assert (findings.answer, findings.reason.name) == ("worse", "refunds")
    assert [item.answer for item in findings.each] == ["not worse", "worse"]


def test_all_that_is_to_be_proven_must_be_and_the_one_that_lacks_most_is_named() -> None:
    few = {"errors": WELL, "refunds": Tally(2, 0)}
    findings = judge(both(champion=few, challenger=few, count=20), metrics=[ERRORS, OTHER], alpha=ALPHA)
    assert (findings.answer, findings.reason.name) == ("unknown", "refunds")


def test_a_metric_without_data_is_unknown_and_the_reason_says_where_it_was_looked_for() -> None:
    metric = Metric("refunds", "rate", margin=0.02, namespace="Shop", metric="RefundRate")
    windows = both(champion={"errors": WELL, "refunds": WELL}, challenger={"errors": WELL})
    findings = judge(windows, metrics=[ERRORS, metric], alpha=ALPHA)
    assert findings.answer == "unknown"
    text = "not yet known: refunds: no data of the challenger (looked for in metric RefundRate in Shop)"
    assert findings.reason.text == text
    assert "no data of either version" in judge([], metrics=[metric], alpha=ALPHA).reason.text


def test_what_every_answer_gives_is_waited_for_before_the_promotion_however_late_it_is_counted() -> None:
    invalid = catalogue.metric("invalid_answers")
    nothing_yet = both(champion={"errors": WELL}, challenger={"errors": WELL}, count=40)
    counted = both(champion={"errors": WELL, "invalid_answers": WELL}, challenger={"errors": WELL}, count=40)
    for windows in (nothing_yet, counted):
        assert judge(windows, metrics=[ERRORS, invalid], alpha=ALPHA, last=False).answer == "not worse"
        findings = judge(windows, metrics=[ERRORS, invalid], alpha=ALPHA, last=True)
        assert (findings.answer, findings.reason.name) == ("unknown", "invalid_answers")
        assert "invalid_answers: no data of" in findings.reason.text
    each = {"errors": WELL, "invalid_answers": WELL}
    assert judge(both(champion=each, challenger=each, count=40), metrics=[ERRORS, invalid], alpha=ALPHA).answer == (
        "not worse"
    )
    labelled = catalogue.metric("accuracy")
    promoted = judge(nothing_yet, metrics=[ERRORS, labelled], alpha=ALPHA, last=True)
    assert promoted.answer == "not worse"
    assert "; not compared, as no values came: accuracy; evidence" in promoted.reason.text
    assert "not compared" not in judge(nothing_yet, metrics=[ERRORS, labelled], alpha=ALPHA, last=False).reason.text
    one_label = both(champion={"accuracy": Tally(1, 1)}, challenger={"accuracy": Tally(1, 1)}, count=1)
    waits = judge([*nothing_yet, *one_label], metrics=[ERRORS, labelled], alpha=ALPHA, last=True)
    assert (waits.answer, waits.reason.name) == ("unknown", "accuracy")


def test_without_a_metric_to_prove_nothing_passes() -> None:
    windows = both(champion={"errors": WELL}, challenger={"errors": WELL})
    assert judge(windows, metrics=[replace(ERRORS, prove=False)], alpha=ALPHA).answer == "unknown"
    assert judge(windows, metrics=[], alpha=ALPHA).answer == "unknown"


def test_higher_is_better_turns_the_comparison_around() -> None:
    accuracy = Metric("accuracy", "rate", margin=0.02, better="higher")
    high, low = {"accuracy": Tally(100, 95)}, {"accuracy": Tally(100, 60)}
    down, up = (
        judge(both(champion=a, challenger=b), metrics=[accuracy], alpha=ALPHA) for a, b in [(high, low), (low, high)]
    )
    assert (down.answer, up.answer) == ("worse", "not worse")
    assert down.reason.numbers["challenger_rate"] == pytest.approx(0.6)
    score = Metric("score", "mean", margin=0.1, better="higher", low=-1, high=3)
    high, low = {"score": Tally(100, 200, 410)}, {"score": Tally(100, -50, 30)}
    down, up = (
        judge(both(champion=a, challenger=b), metrics=[score], alpha=ALPHA) for a, b in [(high, low), (low, high)]
    )
    assert (down.answer, up.answer) == ("worse", "not worse")
    assert down.reason.numbers["challenger_mean"] == pytest.approx(-0.5)


def test_to_be_promoted_when_better_it_is_not_enough_to_be_equal() -> None:
    assert share(found(EVEN, lambda _: Model(), promote_when="better", trials=20), "not worse") <= ALPHA
    better = found(EVEN, lambda _: Model(loss=0.3), promote_when="better", trials=20)
    assert share(better, "not worse") > 0.9
    assert "log_loss better, nothing worse by more than its margin: evidence for better" in better[0].reason.text


def test_better_on_one_metric_does_not_make_up_for_another_that_is_not_proven() -> None:
    windows = both(champion={"errors": BAD, "refunds": WELL}, challenger={"errors": GOOD})
    findings = judge(windows, metrics=[ERRORS, OTHER], alpha=ALPHA, promote_when="better")
    assert (findings.answer, findings.reason.name) == ("unknown", "refunds")


def test_a_quantile_with_a_margin_cannot_be_shown_better() -> None:
    windows = both(champion={"latency_p50": Tally(100, 50)}, challenger={"latency_p50": Tally(100, 1)})
    findings = judge(windows, metrics=[P50], alpha=ALPHA, promote_when="better")
    assert findings.answer == "unknown"
    assert "no metric can be shown better" in findings.reason.text
    strict = replace(P50, margin=0.0)
    assert judge(windows, metrics=[strict], alpha=ALPHA, promote_when="better").answer == "not worse"


def test_a_handful_of_good_answers_is_not_yet_a_pass() -> None:
    assert judge(rates((900, 0, 100, 0)), metrics=[ERRORS], alpha=ALPHA).answer == "unknown"


@pytest.mark.parametrize(
    ("metric", "champion", "challenger", "text"),
    [
        (ERRORS, Tally(90, 0), Tally(10, 9),
         "errors worse by more than 2.00%: 90.00% of 30 requests failed, 0.00% of the champion's 270; evidence"),
        (P50, Tally(90, 45), Tally(60, 60),
         "latency_p50 worse by more than 25%: 100.00% of 180 took over 1.25 times the pivot, "
         "50.00% of the champion's 270 took over the pivot; evidence"),
        (LOSS, Tally(90, 36, 20), Tally(60, 240, 1000),
         "log_loss worse by more than 0.05: mean 4 of 180, the champion's 0.4 of 270; evidence"),
    ],
)  # fmt: skip
def test_the_reason_reads_as_a_sentence(metric: Metric, champion: Tally, challenger: Tally, text: str) -> None:
    windows = both(champion={metric.name: champion}, challenger={metric.name: challenger}, count=3)
    findings = judge(windows, metrics=[metric], alpha=ALPHA)
    assert findings.reason.text.startswith(text)


ERROR = Metric("absolute_error", "mean", margin=2, high=60, prove=False, namespace="modelstack", metric="AbsoluteError")
PROVEN = replace(ERROR, prove=True)


def regressions(by: float, seed: int = 7) -> list[Window]:
    """Windows of a regression's errors in minutes, clipped at 60; the challenger's are greater by so many."""
    source = np.random.default_rng(seed)

    def side(mean: float) -> dict[str, Tally]:
        off = np.minimum(source.gamma(4, mean / 4, 200), 60)
        return {"errors": Tally(200, 1), "absolute_error": Tally(200, float(off.sum()), float((off**2).sum()))}

    return [Window(10 * at, 10, side(10), side(10 + by)) for at in range(100)]


NOT_OF_VALUES = (
    Tally(10, -1, 1), Tally(10, 601, 36_100), Tally(10, 40, 30_000), Tally(10, 40, 0), Tally(10, 40, -1),
    Tally(10, math.nan, 9), Tally(10, 40, math.inf), Tally(0, math.nan), Tally(-3, 1, 1),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("odd", NOT_OF_VALUES, ids=str)
@pytest.mark.parametrize("promote_when", ["not_worse", "better"])
@pytest.mark.parametrize("by", [-4, 0, 4])
def test_one_window_that_cannot_be_of_values_in_the_range_makes_its_metric_unknown_and_holds_the_promotion(
    odd: Tally, promote_when: PromoteWhen, by: float
) -> None:
    good = regressions(by)
    for metric in (ERROR, PROVEN):
        for who in ("champion", "challenger"):
            one = replace(good[50], **{who: {**getattr(good[50], who), "absolute_error": odd}})
            windows = [*good[:50], one, *good[51:]]
            findings = judge(windows, metrics=[ERRORS, metric], alpha=ALPHA, promote_when=promote_when)
            assert (findings.answer, findings.reason.name) == ("unknown", "absolute_error")
            assert f"not known: absolute_error: the {who}'s " in findings.reason.text
            assert "its values are to lie within 0 to 60 (windows like this: 1;" in findings.reason.text
            assert all(math.isfinite(number) for number in findings.reason.numbers.values())


def test_a_failure_of_another_metric_is_found_beside_one_that_is_out_of_its_range() -> None:
    odd = Tally(100, 9000, 1)
    windows = both(champion={"errors": WELL, "absolute_error": odd}, challenger={"errors": BAD, "absolute_error": odd})
    findings = judge(windows, metrics=[PROVEN, ERRORS], alpha=ALPHA)
    assert (findings.answer, findings.reason.name) == ("worse", "errors")


def test_a_rate_that_is_published_in_percent_is_unknown() -> None:
    findings = judge(both(champion={"refunds": Tally(100, 200)}, challenger={"refunds": Tally(100, 900)}),
                     metrics=[OTHER], alpha=ALPHA)  # fmt: skip
    assert findings.answer == "unknown"
    assert "mean of 100 values is 9, but its values are to lie within 0 to 1" in findings.reason.text


@pytest.mark.parametrize(("low", "high"), [(0, 60), (-1e6, -1e6 + 1), (0.1, 0.3)])
def test_rounding_at_the_ends_of_the_range_is_not_out_of_it(low: float, high: float) -> None:
    metric = replace(PROVEN, low=low, high=high, margin=(high - low) / 5)
    for value in (low, high, low + (high - low) / 3):
        values = np.full(3333, value)
        seen = {"absolute_error": Tally(3333, sum(values.tolist()), sum((values**2).tolist()))}
        assert judge(both(champion=seen, challenger=seen), metrics=[metric], alpha=ALPHA).answer == "not worse"


number = st.floats(0, 20_000)
count, part = st.integers(0, 10_000), st.floats(0, 1)
possible = st.builds(lambda n, mean, wide: Tally(n, n * mean, n * mean * (mean + wide * (5 - mean))), count, part, part)
names = st.sampled_from([metric.name for metric in ALL])
tallies = st.dictionaries(names, possible)
odd_ones = st.dictionaries(names, st.builds(Tally, count, number, number))
sides = st.one_of(tallies, tallies, tallies, odd_ones)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.lists(st.tuples(sides, sides), max_size=12), st.sampled_from(["not_worse", "better"]), st.randoms())
def test_the_judge_answers_whatever_it_is_shown_in_whatever_order(
    seen: list[tuple[dict[str, Tally], dict[str, Tally]]], promote_when: PromoteWhen, shuffling: random.Random
) -> None:
    windows = [Window(at, 1, champion, challenger) for at, (champion, challenger) in enumerate(seen)]
    mixed = list(windows)
    shuffling.shuffle(mixed)
    one, other = (
        judge(item, metrics=ALL, alpha=ALPHA, starts=[0, 3, 7], segments=2, promote_when=promote_when)
        for item in (windows, mixed)
    )
    assert one == other
    assert all(math.isfinite(value) for item in one.each for value in item.reason.numbers.values())
