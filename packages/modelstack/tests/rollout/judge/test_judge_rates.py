from __future__ import annotations

import itertools
import math
from decimal import Decimal, localcontext
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import rel_entr

from modelstack.rollout.judge import rates
from modelstack.rollout.judge.evidence import Evidence, Gains
from modelstack.rollout.judge.metrics import Tally
from modelstack.rollout.judge.rates import Rates, closest, log_e_values

rate = st.floats(0.001, 0.999)


def log_e_value(guess: tuple[float, float], margin: float, champion: Tally, challenger: Tally) -> float:
    (found,) = log_e_values(guess[0], [guess[1]], margin, champion, challenger)
    return found


def expected_e_value(
    guess: tuple[float, float], margin: float, champion: list[float], challenger: list[float]
) -> float:
    """By enumeration of every outcome of a block, each request with a rate of its own."""
    total = 0.0
    for outcome in itertools.product((0, 1), repeat=len(champion) + len(challenger)):
        chances = (one if seen else 1 - one for one, seen in zip(champion + challenger, outcome, strict=True))
        k0, k1 = sum(outcome[: len(champion)]), sum(outcome[len(champion) :])
        tallies = Tally(len(champion), k0), Tally(len(challenger), k1)
        total += math.prod(chances) * math.exp(log_e_value(guess, margin, *tallies))
    return total


@given(q0=rate, above=rate, p0=st.floats(0, 1), below=st.floats(0, 1), margin=st.floats(0, 0.3),
       n0=st.integers(1, 4), n1=st.integers(1, 4))  # fmt: skip
def test_the_expected_evidence_for_worse_is_at_most_one_when_it_is_not(
    *, q0: float, above: float, p0: float, below: float, margin: float, n0: int, n1: int
) -> None:
    guess = q0, min(0.999, q0 + margin + above)
    not_worse = p0, max(0.0, min(1.0, p0 + margin - below))
    assume(guess[1] - guess[0] > margin and not_worse[1] - not_worse[0] <= margin)
    assert expected_e_value(guess, margin, [not_worse[0]] * n0, [not_worse[1]] * n1) <= 1 + 1e-9


@given(q0=rate, part=st.floats(0, 1), p0=st.floats(0, 0.6), above=st.floats(0, 1), margin=st.floats(0, 0.3),
       n0=st.integers(1, 4), n1=st.integers(1, 4))  # fmt: skip
def test_the_expected_evidence_for_not_worse_is_at_most_one_when_it_is_worse(
    *, q0: float, part: float, p0: float, above: float, margin: float, n0: int, n1: int
) -> None:
    worse = p0, min(1.0, p0 + margin + above)
    assert expected_e_value((q0, q0 * part), margin, [worse[0]] * n0, [worse[1]] * n1) <= 1 + 1e-9


@given(q0=st.floats(0.001, 0.5), above=rate, champion=st.lists(st.floats(0, 1), min_size=1, max_size=4),
       drift=st.lists(st.floats(0, 1), min_size=1, max_size=4), margin=st.floats(0, 0.3))  # fmt: skip
def test_the_rates_may_differ_from_request_to_request_as_long_as_their_averages_are_not_worse(
    *, q0: float, above: float, champion: list[float], drift: list[float], margin: float
) -> None:
    guess = q0, min(0.999, q0 + margin + above)
    assume(guess[1] - guess[0] > margin)
    most = sum(champion) / len(champion) + margin
    excess = max(1.0, sum(drift) / len(drift) / most) if most else math.inf
    challenger = [one / excess for one in drift]
    assert expected_e_value(guess, margin, champion, challenger) <= 1 + 1e-9


def closest_by_halving(q0: float, q1: float, margin: float, n0: float, n1: float) -> float:
    """Where the divergence's slope along the line changes its sign, with 50 digits."""
    with localcontext(prec=50):
        old, new, gap, many, few = map(Decimal, (q0, q1, margin, n0, n1))
        low, high = sorted((old, new - gap))
        low, high = max(low, Decimal("1e-12")), min(high, 1 - gap - Decimal("1e-12"))
        for _ in range(90):
            r0 = (low + high) / 2
            r1 = r0 + gap
            slope = many * (r0 - old) / (r0 * (1 - r0)) + few * (r1 - new) / (r1 * (1 - r1))
            low, high = (low, r0) if slope > 0 else (r0, high)
    return float(low)


@example(
    q0=0.010169981910593758, q1=0.5134864619105939, margin=0.02, n0=52.585749590142264, n1=49.97636858291272
)  # the first guess is the answer: Newton's step is nothing
@given(q0=rate, q1=rate, margin=st.floats(0.001, 0.5), n0=st.floats(5, 10_000), n1=st.floats(5, 10_000))
def test_the_closest_rates_are_exact_but_for_rounding(
    *, q0: float, q1: float, margin: float, n0: float, n1: float
) -> None:
    exact = closest_by_halving(q0, q1, margin, n0, n1)
    assert closest((q0, q1), margin, n0, n1)[0] == pytest.approx(exact, rel=1e-12, abs=0)


edges = st.one_of(rate, st.sampled_from([1e-6, 1e-5, 1e-4, 1 - 1e-4, 1 - 1e-5, 1 - 1e-6]))


@example(
    q0=0.9998781446869709, q1=0.999999, margin=0.00012307823934159083, n0=31, n1=12287
)  # Newton's steps matter here
@given(q0=edges, q1=edges, margin=st.floats(0.0001, 0.5), n0=st.integers(5, 10_000), n1=st.integers(5, 10_000))
def test_rounding_does_not_lift_the_expected_evidence_above_one_at_the_edges_and_in_large_blocks(
    *, q0: float, q1: float, margin: float, n0: int, n1: int
) -> None:
    nearest = closest((q0, q1), margin, n0, n1)

    def log_expected(p0: float) -> float:
        true = p0, p0 + margin
        groups = zip((n0, n1), true, (q0, q1), nearest, strict=True)
        return sum(n * math.log(max(1 + (p - r) * (q - r) / (r * (1 - r)), 1e-300)) for n, p, q, r in groups)

    low, high = 0.0, 1 - margin  # the null hypothesis' edge, along which this is concave
    for _ in range(80):
        one, other = low + (high - low) / 3, high - (high - low) / 3
        low, high = (one, high) if log_expected(one) < log_expected(other) else (low, other)
    assert max(map(log_expected, (0.0, 1 - margin, (low + high) / 2))) <= 1e-6


def test_a_guess_that_would_need_a_rate_above_one_is_not_bet_on() -> None:
    # Cut off at 1 it would lie within the null hypothesis, and a bet on it would be a bet against the truth.
    assert log_e_value((0.98, 1.2), 0.05, Tally(5, 0), Tally(5, 5)) == 0


def test_evidence_for_worse_is_the_mixture_over_what_may_be_wrong_and_since_when() -> None:
    evidence = Evidence(Rates(0.02), segments=3)
    block = Tally(50, 1), Tally(50, 8)
    evidence.bet(*block)
    differences, shares = [0.03 * 1.6**n for n in range(8)], [1 / n for n in range(2, 10)]
    values = [math.exp(log_e_value((0.02, 0.02 + item), 0.02, *block)) for item in differences]
    mixture = sum(value * share for value, share in zip(values, shares, strict=True)) / sum(shares)
    # Half of this step's stake waits for later blocks, and of two steps nothing is known yet.
    assert math.exp(evidence.worse) == pytest.approx((mixture / 2 + 1 / 2 + 1 + 1) / 3)


def by_single_requests(blocks: list[tuple[Tally, Tally]], margin: float, *, restart: int) -> tuple[float, float, float]:
    """Evidence for worse, for not worse, and for not worse since the restart, from the papers' definitions."""
    steps = [1.5 * margin * 1.6**place for place in range(40)]
    steps = [step for step in steps if step < 1]
    shares = 1 / np.arange(2, len(steps) + 2)
    well, here = np.ones(3), np.ones(3)
    begun: list[tuple[float, np.ndarray]] = []  # bets by when they began, each with its stake
    ones, count, peak = 0.5, 25.0, 1.0  # 25 requests at 2% stand before the first
    for at, (champion, challenger) in enumerate(blocks):
        if at == restart:
            here = np.ones(3)
        q0 = ones / count

        def e_value(q1: float, q0: float = q0, one: Tally = champion, other: Tally = challenger) -> float:
            def divergence(r0: float) -> float:
                pairs = [(one.count, q0, r0), (other.count, max(q1, 1e-6), r0 + margin)]
                return sum(float(n * (rel_entr(q, r) + rel_entr(1 - q, 1 - r))) for n, q, r in pairs)

            r0 = float(
                minimize_scalar(divergence, bounds=(0, 1 - margin), method="bounded", options={"xatol": 1e-13}).x
            )
            value = 1.0
            for tally, q, r in ((one, q0, r0), (other, min(max(q1, 1e-6), 1 - 1e-6), r0 + margin)):
                for request in range(tally.count):
                    value *= q / r if request < tally.total else (1 - q) / (1 - r)
            return value

        gains = np.array([e_value(q0 + step) if q0 + step < 1 else 1.0 for step in steps])
        place = at - restart if at >= restart else at
        begun.append((0.25 if place == 0 else 0.25 / (place * (place + 1)), np.ones(len(steps))))
        begun = [(stake, value * gains) for stake, value in begun]
        kept = 1 - sum(stake for stake, _ in begun)
        won = sum(stake * float(value @ shares / shares.sum()) for stake, value in begun)
        peak = max(peak, kept + won)
        gains = np.array([e_value(q0 - margin), e_value(q0), e_value(q0 + margin / 2)])
        well, here = well * gains, here * gains
        # What was seen counts 5% less with each block; what stands before the first does not.
        ones, count = 0.5 + 0.95 * (ones - 0.5) + champion.total, 25 + 0.95 * (count - 25) + champion.count
    return peak, float(well.mean()), float(here.mean())


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_the_evidence_is_what_the_papers_define_request_by_request(rate: float) -> None:
    source = np.random.default_rng(12)
    blocks = [
        (Tally(90, int(source.binomial(90, 0.02))), Tally(30 + at, int(source.binomial(30 + at, rate))))
        for at in range(8)
    ]
    evidence = Evidence(Rates(0.02), segments=2)
    for at, block in enumerate(blocks):
        if at == 5:
            evidence.restart(1)
        evidence.bet(*block)
    found = [math.exp(log) for log in (evidence.worse, evidence.whole.not_worse, evidence.here.not_worse)]
    assert found == pytest.approx(by_single_requests(blocks, 0.02, restart=5), rel=1e-5)


def test_the_evidence_for_worse_never_falls() -> None:
    evidence = Evidence(Rates(0.02), segments=2)
    so_far = 0.0
    for failed in [8, 8, 4, 3, 9, 2, 2, 2, 12, 4]:
        evidence.bet(Tally(50, 1), Tally(50, failed))
        assert evidence.worse >= so_far
        so_far = evidence.worse
    assert so_far > 0


def test_a_block_is_bet_on_before_it_is_seen() -> None:
    # The same block first and second: its own outcome must not have moved the bet on it.
    first, second = Evidence(Rates(0.02)), Rates(0.02)
    block, later = (Tally(100, 30), Tally(100, 30)), (Tally(100, 1), Tally(100, 1))
    first.bet(*block)
    log_gains = second.gains(*block).not_worse
    assert math.exp(first.whole.not_worse) == pytest.approx(sum(map(math.exp, log_gains)) / 3)
    second.learn(*block)
    first.bet(*later)
    both = [one + other for one, other in zip(log_gains, second.gains(*later).not_worse, strict=True)]
    assert math.exp(first.whole.not_worse) == pytest.approx(sum(map(math.exp, both)) / 3)


def test_a_trial_that_is_judged_again_with_one_more_block_computes_that_block_alone() -> None:
    blocks = [(Tally(100 + at, 3), Tally(90 + at, 4)) for at in range(3)]

    def judged(count: int) -> list[Gains]:
        bettor, found = Rates(0.0123), list[Gains]()
        for block in blocks[:count]:
            found.append(bettor.gains(*block))
            bettor.learn(*block)
        return found

    with mock.patch.object(rates, "log_e_values", side_effect=log_e_values) as computed:
        first = judged(2)
        assert computed.call_count == 4, "worse and not worse of each block"
        assert judged(3)[:2] == first
        assert computed.call_count == 6
