"""The judge: is the challenger's error rate worse than the champion's by more than the margin?

    finding = compare(windows, alpha=0.05, margin=0.02, starts=[t0, t1], segments=2)
    finding.answer  # "worse", "not worse" or "unknown"

It may be asked after every window, and stopped at any of them, without inflating its errors. Each block of windows is
turned into an e-value for two Bernoulli streams; their running product is a test martingale, so that by Ville's
inequality it ever reaches 1/alpha with probability at most alpha while the null hypothesis holds.

For a block with n0 champion and n1 challenger requests, and rates (q0, q1) that were guessed before the block, the
e-value is the likelihood of (q0, q1) over that of (r0, r1), the rates within the null hypothesis that are closest to
(q0, q1) in the Kullback-Leibler divergence weighted by n0 and n1. The null hypothesis is convex (a half plane), so the
expected e-value is at most 1 for every pair of rates in it, and the rates may differ from block to block: a drift that
both versions share, or a change of the weights, does not mislead it.

The guess q0 comes from earlier blocks of the champion; q1 is mixed over a grid of differences, and, for "worse", over
the step at which the challenger began to fail.

Sources: Turner, Ly and Grunwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
stopping", J. Stat. Plan. Inference 230 (2024), arXiv:2106.02693; Turner and Grunwald, "Exact anytime-valid confidence
intervals for contingency tables and beyond", Stat. Probab. Lett. (2023), arXiv:2203.09785 (convex null hypotheses);
Ville (1939). In the spirit of Lindon, Sanden and Shirikian, "Rapid regression detection in software deployments through
sequential testing", KDD 2022, arXiv:2205.14762.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rollout.state import Reason

Answer = Literal["worse", "not worse", "unknown"]

_BLOCK = 5  # requests of each version that close a block; smaller ones tell next to nothing
_GROWTH = 0.02  # and the share of the segment's requests so far: a long trial is judged in a few hundred blocks
_PRIOR_ERRORS, _PRIOR_REQUESTS = 0.2, 10.0  # the champion's rate is guessed as 2% before it was seen
_TINY = 1e-9


@dataclass(frozen=True)
class Counts:
    """What one variant did in one window.

    Attributes:
        requests: How many requests it answered, >= 0.
        errors: How many of them failed; counts that arrive late may exceed `requests`, and are capped when judged.
    """

    requests: int
    errors: int


@dataclass(frozen=True)
class Window:
    """What both variants did in one window of time.

    Attributes:
        start: Epoch seconds.
        seconds: The window's width.
        champion: The champion's counts.
        challenger: The challenger's counts.
    """

    start: float
    seconds: float
    champion: Counts
    challenger: Counts


@dataclass(frozen=True)
class Finding:
    """The judge's answer, with the reason in words and numbers."""

    answer: Answer
    reason: Reason


def compare(
    windows: Iterable[Window], *, alpha: float, margin: float, starts: Sequence[float] = (), segments: int = 1
) -> Finding:
    """Judge a trial from all its windows so far.

    Args:
        windows: The closed windows since the trial began, in any order.
        alpha: The probability of ever answering "worse" (or "not worse") wrongly.
        margin: The difference in error rate, challenger - champion, that is tolerated.
        starts: When each step so far began, epoch seconds; evidence of failure is also gathered from each anew.
        segments: How many steps there will be in all.

    Returns:
        `worse` by more than the margin, `not worse` by more than the margin, or `unknown`.
    """
    judge = ErrorRateJudge(alpha=alpha, margin=margin, segments=segments)
    waiting = sorted(starts)[1:]
    for window in sorted(windows, key=lambda item: item.start):
        while waiting and window.start >= waiting[0]:
            waiting.pop(0)
            judge.restart()
        judge.add(window.champion, window.challenger)
    return judge.finding()


class ErrorRateJudge:
    """Gathers evidence window by window; see the module for the method.

    Args:
        alpha: The probability of ever answering "worse" (or "not worse") wrongly.
        margin: The tolerated difference in error rate.
        segments: How many times evidence may start anew, the first included.
    """

    def __init__(self, *, alpha: float, margin: float, segments: int = 1) -> None:
        self._alpha, self._margin, self._segments = alpha, margin, max(1, segments)
        self._steps_up = _grid(margin)
        self._steps_down = (-margin, 0.0, margin / 2)
        self._worse: list[list[float]] = [[0.0] * len(self._steps_up)]  # log e-values: segment, difference
        self._not_worse = [0.0] * len(self._steps_down)
        self._peak = 0.0
        self._champion, self._challenger = [0, 0], [0, 0]  # requests, errors: all that was seen
        self._known = [0, 0]  # the champion's, in closed blocks only: what a guess may use
        self._block = [0, 0, 0, 0]  # champion requests, errors, challenger requests, errors
        self._asked = 0  # challenger requests in closed blocks of this segment

    def add(self, champion: Counts, challenger: Counts) -> None:
        """Take in one closed window."""
        k0, k1 = min(champion.errors, champion.requests), min(challenger.errors, challenger.requests)
        for total, seen in ((self._champion, (champion.requests, k0)), (self._challenger, (challenger.requests, k1))):
            total[0] += seen[0]
            total[1] += seen[1]
        for place, count in enumerate((champion.requests, k0, challenger.requests, k1)):
            self._block[place] += count
        # Only how many were asked closes a block, never how they went: so a block's size is known before its outcome.
        least = max(_BLOCK, _GROWTH * self._asked)
        if self._block[0] >= _BLOCK and self._block[2] >= least:
            self._close()

    def restart(self) -> None:
        """Begin to gather evidence of failure anew, beside the old: the challenger got more traffic."""
        self._close()
        self._asked = 0
        if len(self._worse) < self._segments:
            self._worse.append([0.0] * len(self._steps_up))

    def finding(self) -> Finding:
        """The answer so far."""
        needed = math.log(1 / self._alpha)
        worse, well = self._peak, _log_mean(self._not_worse)
        n0, k0 = self._champion
        n1, k1 = self._challenger
        rate0, rate1 = k0 / n0 if n0 else 0.0, k1 / n1 if n1 else 0.0
        numbers = {
            "champion_requests": float(n0),
            "champion_error_rate": rate0,
            "challenger_requests": float(n1),
            "challenger_error_rate": rate1,
            "margin": self._margin,
            "evidence_worse": _exp(worse),
            "evidence_not_worse": _exp(well),
            "evidence_needed": 1 / self._alpha,
        }
        rates = f"{rate1:.2%} of {n1} requests failed, of the champion's {n0} {rate0:.2%}"
        need = f"{1 / self._alpha:.3g}"
        answer: Answer = "unknown"
        text = f"not yet known: {rates}; evidence for worse {_exp(worse):.3g}, for not worse {_exp(well):.3g} of {need}"
        if worse >= needed:
            answer = "worse"
            text = f"worse by more than {self._margin:.2%}: {rates}; evidence {_exp(worse):.3g} of {need}"
        elif well >= needed:
            answer = "not worse"
            text = f"not worse by more than {self._margin:.2%}: {rates}; evidence {_exp(well):.3g} of {need}"
        return Finding(answer, Reason("judge", "error rate", text, numbers))

    def _close(self) -> None:
        n0, k0, n1, k1 = self._block
        self._block = [0, 0, 0, 0]
        if n0 and n1:  # without either there is nothing to compare: the e-value is 1
            guess = (self._known[1] + _PRIOR_ERRORS) / (self._known[0] + _PRIOR_REQUESTS)
            seen = Counts(n0, k0), Counts(n1, k1)
            up = [log_e_value((guess, guess + step), self._margin, *seen) for step in self._steps_up]
            for segment in self._worse:
                for place, gain in enumerate(up):
                    segment[place] += gain
            for place, step in enumerate(self._steps_down):
                self._not_worse[place] += log_e_value((guess, guess + step), self._margin, *seen)
            unused = self._segments - len(self._worse)
            means = [_log_mean(segment) for segment in self._worse] + [0.0] * unused
            self._peak = max(self._peak, _log_mean(means))
        self._asked += n1
        self._known[0] += n0
        self._known[1] += k0


def log_e_value(guess: tuple[float, float], margin: float, champion: Counts, challenger: Counts) -> float:
    """Log e-value of one block, against all rates on the far side of the line p1 - p0 = margin from the guess.

    Args:
        guess: The champion's and the challenger's error rate, as guessed before the block, on the side of the line
            that is to be shown. Rates above 1 count as 1.
        margin: Where the line is.
        champion: The champion's counts, at least one request.
        challenger: The challenger's counts, at least one request.

    Returns:
        Its log, in nats; 0 when there is no such guess among rates up to 1: then nothing is bet.
    """
    q0, q1 = (min(max(rate, _TINY), 1 - _TINY) for rate in guess)
    if (guess[1] - guess[0] > margin) != (q1 - q0 > margin):
        return 0.0
    n0, k0, n1, k1 = champion.requests, champion.errors, challenger.requests, challenger.errors
    r0 = _closest((q0, q1), margin, n0, n1)
    r1 = r0 + margin
    return (
        k0 * math.log(q0 / r0)
        + (n0 - k0) * math.log((1 - q0) / (1 - r0))
        + k1 * math.log(q1 / r1)
        + (n1 - k1) * math.log((1 - q1) / (1 - r1))
    )


def _closest(guess: tuple[float, float], margin: float, n0: int, n1: int) -> float:
    """The r0 that minimises n0 KL(q0 | r0) + n1 KL(q1 | r0 + margin): a convex function, so Newton within a bracket."""
    q0, q1 = guess
    low, high = sorted(min(max(end, _TINY), 1 - margin - _TINY) for end in (q0, q1 - margin))
    r0 = (low + high) / 2
    for _ in range(60):
        r1 = r0 + margin
        v0, v1 = r0 * (1 - r0), r1 * (1 - r1)
        slope = n0 * (r0 - q0) / v0 + n1 * (r1 - q1) / v1
        if slope > 0:
            high = r0
        else:
            low = r0
        if high - low < 1e-13:
            break
        bend = n0 * (v0 - (r0 - q0) * (1 - 2 * r0)) / v0**2 + n1 * (v1 - (r1 - q1) * (1 - 2 * r1)) / v1**2
        step = r0 - slope / bend if bend > 0 else low
        after = step if low < step < high else (low + high) / 2
        if abs(after - r0) < 1e-15:
            break
        r0 = after
    return r0


def _grid(margin: float) -> tuple[float, ...]:
    """Differences to look for: from just above the margin up, each 1.6 times the last."""
    steps: list[float] = []
    step = 1.5 * margin
    while step < 1:
        steps.append(step)
        step *= 1.6
    return tuple(steps)


def _log_mean(logs: Sequence[float]) -> float:
    """Log of the mean of e-values, from their logs."""
    top = max(logs)
    return top + math.log(sum(math.exp(item - top) for item in logs) / len(logs))


def _exp(log: float) -> float:
    """The e-value, capped so that it stays a number that JSON can hold."""
    return math.exp(min(log, 300.0))
