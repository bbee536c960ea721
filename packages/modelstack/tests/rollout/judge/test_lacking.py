"""How many more requests a trial is told to need, window by window."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest

from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.judge.metrics import Tally, Window
from modelstack.rollout.judge.verdict import judge

pytestmark = pytest.mark.slow

Draw = Callable[[np.random.Generator, float], Tally]


def ones(share: float) -> Draw:
    def draw(random: np.random.Generator, requests: float) -> Tally:
        count = int(random.poisson(requests))
        return Tally(count, found := int(random.binomial(count, share)), found)

    return draw


def stalls(random: np.random.Generator, requests: float) -> Tally:
    return ones(0.3 if random.random() < 0.1 else 0.002)(random, requests)


def losses(random: np.random.Generator, requests: float) -> Tally:
    values = random.gamma(1.2, 0.5 / 1.2, int(random.poisson(requests)))
    return Tally(len(values), float(values.sum()), float((values**2).sum()))


def told(name: str, champion: Draw, challenger: Draw, seed: int) -> Iterator[tuple[int, int | None]]:
    random, metric, windows = np.random.default_rng(seed), KNOWN[name], list[Window]()
    for at in range(400):
        one, other = champion(random, 90), challenger(random, 10)
        windows.append(Window(10 * at, 10, {name: one}, {name: other}))
        findings = judge(windows, metrics=[metric], alpha=0.05, starts=[0.0], segments=1, last=True).each
        seen = sum(window.challenger[name].count for window in windows)
        found = re.search(r"about ([\d,]+) more \w+ are needed", findings[0].reason.text)
        yield seen, int(found[1].replace(",", "")) if found else None
        if findings[0].answer != "unknown":
            return


TRIALS = {
    "few errors": ("errors", ones(0.004), ones(0.004)),
    "many errors": ("errors", ones(0.05), ones(0.05)),
    "latency": ("latency_p90", ones(0.1), ones(0.05)),
    "loss": ("log_loss", losses, losses),
}


@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_told_to_be_needed_moves_in_small_steps_and_comes_near_what_it_takes(trial: str, seed: int) -> None:
    course = list(told(*TRIALS[trial], seed))
    assert course[-1][1] is None  # decided: nothing more is needed
    numbers = [(seen, more) for seen, more in course[:-1] if more is not None]
    assert len(numbers) > 0.9 * sum(seen >= 50 for seen, _ in course[:-1])
    steps = [abs(math.log(now / before)) for (_, before), (_, now) in pairwise(numbers)]
    assert max(steps) <= math.log(5.01)
    assert max(more for _, more in numbers) <= 25 * min(more for _, more in numbers)
    seen, more = numbers[0]
    assert 1 / 5 < more / (course[-1][0] - seen) < 5


@pytest.mark.parametrize("seed", [1, 3])
def test_failures_that_come_together_take_more_requests_and_that_is_told(seed: int) -> None:
    course = list(told("errors", stalls, stalls, seed))
    seen, more = course[len(course) // 2]
    assert more is not None
    assert 1 / 4 < more / (course[-1][0] - seen) < 4


def test_nothing_is_told_before_it_can_be_known() -> None:
    assert all(more is None for seen, more in told(*TRIALS["few errors"], seed=1) if seen < 50)


def test_nothing_is_told_of_a_challenger_that_the_evidence_speaks_against() -> None:
    course = list(told("errors", ones(0.01), ones(0.06), seed=1))
    assert all(more is None for _, more in course[len(course) // 2 :])


def test_a_latency_at_which_the_challenger_is_as_slow_as_the_champion_is_beyond_the_margin_is_not_guessed() -> None:
    course = list(told("latency_p90", ones(0.1), ones(0.1), seed=1))
    assert sum(more is None for _, more in course) > len(course) / 2
