"""E-values for two streams of zeros and ones: error rates, accuracy, and how many answers are slower than a threshold.

For a block with n0 champion and n1 challenger observations, of which k0 and k1 are ones, and rates (q0, q1) that were
guessed before the block, the e-value is the likelihood of (q0, q1) over that of (r0, r1), the rates within the null
hypothesis {p1 - p0 <= margin} that minimise n0 KL(q0 | r0) + n1 KL(q1 | r1). For "not worse" the null is {p1 - p0 >=
margin}.

Why its expectation is at most 1: it is a product over the observations, and one whose true rate is p has the
expectation 1 + (p - r)(q - r) / (r(1 - r)) <= exp of the same without the 1. So the block's is at most exp(sum over i
of n_i (p_i - r_i)(q_i - r_i) / (r_i(1 - r_i))), with p_i the version's mean rate over the block. The exponent is minus
the slope of the minimised divergence on the way from r to p. The null is convex and r its closest point, so that slope
is >= 0 for every p in it. The rates may differ from block to block, and from request to request.

The guess q0 comes from the champion's earlier blocks, the later ones counting more; q1 is mixed over a grid.

A quantile of latency is compared as a rate with margin 0. With a pivot t fixed beforehand near the champion's quantile,
the champion's ones are answers slower than t, the challenger's are answers slower than (1 + margin) t. If the
challenger's latency is at most (1 + margin) times as long in distribution, its rate of ones is no greater.

Sources: Turner, Ly and Grunwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
stopping", J. Stat. Plan. Inference 230 (2024), arXiv:2106.02693; Turner and Grunwald, "Exact anytime-valid confidence
intervals for contingency tables and beyond", Stat. Probab. Lett. 198 (2023), arXiv:2203.09785 (convex null hypotheses).
The closest rates: Farrington and Manning, Stat. Med. 9 (1990), appendix, as the first guess of Newton's method.
Quantiles by counts above a fixed point, as in Howard and Ramdas, "Sequential estimation of quantiles", Bernoulli 28
(2022), arXiv:1906.09712, section 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

from modelstack.rollout.judge.evidence import Gains
from modelstack.rollout.judge.metrics import Sums, Worth

_TINY = 1e-12
_LEAST = 1e-6  # the least distance of a guess from 0 and 1, because of rounding
_CLOSE = 1e-9
_PARTS = (0.02, 0.15, 0.45, 0.75)  # a better challenger's rates, as shares of the champion's
_MEMORY = 0.95  # a block's weight one block later: the guess follows a drift


class Rates:
    """Bets on two rates, lower is better.

    Args:
        margin: The tolerated difference, challenger - champion, 0 to 1.
        better: Whether to bet on "better" too.
        guess: The champion's rate before any observation.
        weight: How many observations that guess is worth, permanently: a rate is never guessed as 0.
    """

    def __init__(self, margin: float, *, better: bool = False, guess: float = 0.02, weight: float = 25.0) -> None:
        self._margin, self._up, self._seek_better = margin, _differences(margin, guess), better
        self._prior = guess * weight, weight
        self._ones = self._count = 0.0
        shares = [1 / (2 + place) for place in range(len(self._up))]
        down = 3 if margin else len(_PARTS)
        self.shares = Gains(
            [share / sum(shares) for share in shares],
            [1 / down] * down,
            [1 / len(_PARTS)] * len(_PARTS) if better else [],
        )

    def gains(self, champion: Sums, challenger: Sums) -> Gains:
        """Log e-values of a block, in nats."""
        ones, count = self._prior
        guess = (ones + self._ones) / (count + self._count)
        counts = champion.count, champion.total, challenger.count, challenger.total
        return _gains(guess, self._margin, self._up, self._seek_better, counts)

    def learn(self, champion: Sums, challenger: Sums) -> None:
        """Use a closed block for later guesses of the champion's rate; the challenger's is mixed over."""
        self._ones = _MEMORY * self._ones + champion.total
        self._count = _MEMORY * self._count + champion.count


@lru_cache(maxsize=4096)  # each tick judges the trial from its first block, for which these are the same as before
def _gains(
    guess: float, margin: float, up: Sequence[float], better: bool, counts: tuple[float, float, float, float]
) -> Gains:
    champion, challenger = Worth(*counts[:2], 0.0), Worth(*counts[2:], 0.0)
    less = [guess * part for part in _PARTS]
    # With a margin: equal, better by it, or worse by half of it.
    down = [guess - margin, guess, guess + margin / 2] if margin else less
    return Gains(
        log_e_values(guess, [guess + step for step in up], margin, champion, challenger),
        log_e_values(guess, down, margin, champion, challenger),
        log_e_values(guess, less, 0.0, champion, challenger) if better else [],
    )


def log_e_values(guess: float, rates: Iterable[float], margin: float, champion: Sums, challenger: Sums) -> list[float]:
    """Log e-values of one block, in nats, against all rates across the line p1 - p0 = margin from the guesses.

    `guess` is the champion's rate, `rates` are the challenger's, one per e-value, on the side of the line to be shown
    (above 1 counts as 1). 0 where there is no such rate: then nothing is bet.
    """
    q0 = _within(guess, _LEAST, 1 - _LEAST)
    n0, ones0, n1, ones1 = champion.count, champion.total, challenger.count, challenger.total
    zeros0, zeros1, rest0 = n0 - ones0, n1 - ones1, 1 - q0
    log, found = math.log, list[float]()
    for rate in rates:
        q1 = _within(rate, _LEAST, 1 - _LEAST)
        if (rate - guess > margin) != (q1 - q0 > margin):
            found.append(0.0)
            continue
        r0, r1 = closest((q0, q1), margin, n0, n1)
        old = ones0 * log(q0 / r0) + zeros0 * log(rest0 / (1 - r0))
        found.append(old + ones1 * log(q1 / r1) + zeros1 * log((1 - q1) / (1 - r1)))
    return found


def _within(value: float, low: float, high: float) -> float:
    return low if value < low else high if value > high else value


def closest(guess: tuple[float, float], margin: float, n0: float, n1: float) -> tuple[float, float]:
    """The rates (r0, r0 + margin) that minimise n0 KL(q0 | r0) + n1 KL(q1 | r1).

    The divergence is convex along the line and its minimum lies between q0 and q1 - margin: Newton within that bracket.
    """
    q0, q1 = guess
    if margin == 0:
        r0 = (n0 * q0 + n1 * q1) / (n0 + n1)
        return r0, r0
    low, high = (q0, q1 - margin) if q0 < q1 - margin else (q1 - margin, q0)
    most = 1 - margin - _TINY
    low, high = _within(low, _TINY, most), _within(high, _TINY, most)
    r0 = _within(_by_formula(q0, q1, margin, n1 / n0), low, high)
    for _ in range(60):
        r1 = r0 + margin
        away0, away1, v0, v1 = r0 - q0, r1 - q1, r0 * (1 - r0), r1 * (1 - r1)
        slope = n0 * away0 / v0 + n1 * away1 / v1
        if slope > 0:
            high = r0
        else:
            low = r0
        if high - low < 2e-16 * high:
            break
        bend = n0 * (v0 - away0 * (1 - 2 * r0)) / (v0 * v0) + n1 * (v1 - away1 * (1 - 2 * r1)) / (v1 * v1)
        step = r0 - slope / bend if bend > 0 else math.nan
        # r0 is one end of the bracket by now. If a step rounds to nothing, it is the answer.
        after = step if low <= step <= high else (low + high) / 2
        moved, r0 = abs(after - r0), after
        if moved <= _CLOSE * r0 and moved <= _CLOSE * (1 - r1):
            break  # the remaining error is about the square of the step
    return r0, r0 + margin


def _by_formula(q0: float, q1: float, margin: float, ratio: float) -> float:
    """The root of the cubic that a slope of 0 amounts to; inexact by rounding for rates near 0 and 1."""
    whole = 1 + ratio  # their first group is the champion, their second the challenger, their difference -margin
    mean = (q0 + ratio * q1) / whole
    # r^3 + 3 third r^2 + c r + d = 0: their equation, divided by its first coefficient
    third = (margin + margin / whole - 1 - mean) / 3
    c = margin * (margin - 2 * q0 - whole) / whole + mean
    d = q0 * margin * (1 - margin) / whole
    v = third * (third * third - c / 2) + d / 2
    square = third * third - c / 3
    if square <= 0:
        return -third
    u = math.copysign(math.sqrt(square), v)
    return 2 * u * math.cos((math.pi + math.acos(_within(v / (u * square), -1.0, 1.0))) / 3) - third


def _differences(margin: float, guess: float) -> tuple[float, ...]:
    """Differences to look for: from just above the margin up, each 1.6 times the last."""
    steps: list[float] = []
    step = 1.5 * margin or 0.1 * math.sqrt(guess * (1 - guess))
    while step < 1:
        steps.append(step)
        step *= 1.6
    return tuple(steps) or ((1 + margin) / 2,)
