"""E-values for the means of two streams of bounded numbers, such as log-loss, from counts, sums and sums of squares.

Values are scaled to 0..1, lower is better. For a block with n0 champion and n1 challenger observations x, the bet l > 0
on the null hypothesis {mu1 - mu0 <= margin} has the e-value

    log e = l (S1 - n1 margin - (n1/n0) S0) - V1 psi(l, m1) - V0 psi(l n1/n0, 1 - m0)

with S the sum of x, V the sum of (x - m)^2, m0 and m1 guesses of the means from earlier blocks, and psi(l, c) = (-log(1
- c l) - c l) / c^2, which needs c l < 1. For "not worse", {mu1 - mu0 >= margin}, every sign of the first bracket turns,
m1 becomes 1 - m1 and 1 - m0 becomes m0.

Why its expectation is at most 1: for y >= -c and 0 <= l < 1/c, exp(l y - psi(l, c) y^2) <= 1 + l y (Fan, Grama and Liu
2015, proposition 4.1, scaled). With y = x - m >= -m, for x >= 0, the expectation is at most 1 + l (mu - m) <= exp(l (mu
- m)), so that exp(l (x - mu) - psi(l, m) (x - m)^2) has one of at most 1; likewise for y = m - x >= -(1 - m), for x <=
1. Multiplied over the block the means come to l n1 (mu1 - mu0 - margin) in the exponent, with the versions' averages
over the block, whatever drift they share: the champion's bet of l n1/n0 ensures that. With c = 1 this is the empirical
Bernstein supermartingale of Howard, Ramdas, McAuliffe and Sekhon; with c the least distance to the end of the range it
is sharper, as a loss is usually near its lower end.

The bets: for excesses e on a grid, l = e / (v1 + v0 n1/n0), the best one if the means differ by margin + e and the
variances v are those of earlier blocks, and no more than `_MOST` of what c l < 1 allows; mixed with fixed weights.

Sources: Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Ann.
Stat. 49 (2021), arXiv:1810.08240, theorem 4; Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
betting", JRSS B 86 (2024), arXiv:2010.09686, theorem 2 (predictable bets); Fan, Grama and Liu, "Exponential
inequalities for martingales with applications", Electron. J. Probab. 20 (2015), arXiv:1311.6273.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from modelstack.rollout.judge.evidence import Gains
from modelstack.rollout.judge.metrics import Sums, Tally

_MOST = 0.75
_MEMORY = 0.95  # a block's weight one block later: the guesses follow a drift
_GAPS = tuple(0.005 * 2.0**place for place in range(6))  # how much better a better challenger may be
_PRIOR = Tally(1, 0.5, 0.25 + 1 / 16)  # mean 1/2, deviation 1/4; the weight of one value, permanently


class Means:
    """Bets on two means of values from 0 to 1, lower is better; `better` adds bets on "better"."""

    def __init__(self, margin: float, *, better: bool = False) -> None:
        self._margin = margin
        first = 0.5 * margin or 0.01
        self._excess = tuple(first * 1.6**place for place in range(60) if first * 1.6**place < 1)
        # Equal, better by half the margin, or worse by half of it.
        self._lack = (0.5 * margin, margin, 1.5 * margin) if margin else _GAPS
        self._gaps = _GAPS if better else ()
        shares = [1 / (2 + place) for place in range(len(self._excess))]
        self.shares = Gains(
            [share / sum(shares) for share in shares],
            [1 / len(self._lack)] * len(self._lack),
            [1 / len(_GAPS)] * len(self._gaps),
        )
        self._champion, self._challenger = _Guess(), _Guess()

    def gains(self, champion: Sums, challenger: Sums) -> Gains:
        """Log e-values of a block, in nats."""
        guesses = self._champion, self._challenger
        return Gains(
            _bets(self._excess, champion, challenger, guesses, margin=self._margin, sign=1.0),
            _bets(self._lack, champion, challenger, guesses, margin=self._margin, sign=-1.0),
            _bets(self._gaps, champion, challenger, guesses, margin=0.0, sign=-1.0),
        )

    def learn(self, champion: Sums, challenger: Sums) -> None:
        """Use a closed block for later guesses."""
        self._champion.learn(champion)
        self._challenger.learn(challenger)


class _Guess:
    """Mean and variance of one version; later blocks count more."""

    def __init__(self) -> None:
        self._count = self._total = self._squares = 0.0
        self._set()

    def learn(self, block: Sums) -> None:
        self._count = _MEMORY * self._count + block.count
        self._total = _MEMORY * self._total + block.total
        self._squares = _MEMORY * self._squares + block.squares
        self._set()

    def _set(self) -> None:
        count = _PRIOR.count + self._count
        self.mean = min(max((_PRIOR.total + self._total) / count, 0.0), 1.0)
        self.variance = max((_PRIOR.squares + self._squares) / count - self.mean**2, 0.0) + 1e-6


def _bets(
    excesses: Sequence[float],
    champion: Sums,
    challenger: Sums,
    guesses: tuple[_Guess, _Guess],
    *,
    margin: float,
    sign: float,
) -> list[float]:
    """`sign` is 1 for evidence that the difference is above the margin, -1 for below."""
    ratio = challenger.count / champion.count
    old, new = guesses
    scale0, scale1 = (1 - old.mean, new.mean) if sign > 0 else (old.mean, 1 - new.mean)
    scale = max(scale1, ratio * scale0, 1e-9)
    spread = new.variance + ratio * old.variance
    found: list[float] = []
    for excess in excesses:
        bet = min(excess / spread, _MOST / scale)
        found.append(log_e_value(sign * bet, margin, (old.mean, new.mean), champion, challenger))
    return found


def log_e_value(bet: float, margin: float, guess: tuple[float, float], champion: Sums, challenger: Sums) -> float:
    """Log e-value of one block with both versions, in nats; see the module.

    Args:
        bet: l, above 0 for the null {mu1 - mu0 <= margin}; -l for the null {mu1 - mu0 >= margin}. ValueError if higher
            than the range allows.
        margin: The tolerated difference.
        guess: The champion's and the challenger's mean, guessed before the block, 0 to 1.
        champion: The champion's values.
        challenger: The challenger's values.
    """
    ratio, size = challenger.count / champion.count, abs(bet)
    m0, m1 = guess
    scale0, scale1 = (1 - m0, m1) if bet > 0 else (m0, 1 - m1)
    gap = challenger.total - challenger.count * margin - ratio * champion.total
    return bet * gap - _around(challenger, m1) * _psi(size, scale1) - _around(champion, m0) * _psi(size * ratio, scale0)


def _around(block: Sums, guess: float) -> float:
    """The sum of (x - guess)^2."""
    return max(block.squares - 2 * guess * block.total + block.count * guess**2, 0.0)


def _psi(bet: float, scale: float) -> float:
    """(-log(1 - c l) - c l) / c^2, by its series where rounding would spoil it."""
    part = scale * bet
    if part >= 1:
        raise ValueError(
            f"a bet of {bet:g} on values up to {scale:g} from their guess; expected less than {1 / scale:g}"
        )
    if part < 1e-4:
        return bet**2 * (0.5 + part / 3 + part**2 / 4)
    return (-math.log1p(-part) - part) / scale**2
