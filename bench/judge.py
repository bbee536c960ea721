"""Does the judge keep its promise, and how fast does it decide? Simulated trials; no cloud is needed.

python -m bench judge

A model answers with an error rate, a lognormal latency and the log-loss of a calibrated classifier. All that is random
comes from fixed seeds. Every trial is judged on four metrics at alpha = 5%, with evidence begun anew at each of three
steps, as if it was looked at after every window
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import NormalDist

import numpy as np
from scipy.special import digamma
from scipy.stats import beta

from bench.rows import Row, sized
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.judge.metrics import Metric, Tally, Window
from modelstack.rollout.judge.verdict import judge

ALPHA = 0.05
ERRORS, P99, P50, LOSS = (KNOWN[name] for name in ("errors", "latency_p99", "latency_p50", "log_loss"))
METRICS = (ERRORS, P99, P50, LOSS)
WEIGHTS = (5, 25, 50)  # percent: the steps
POWER = 0.99  # of the fixed test beside: it misses 1% of regressions

Random = np.random.Generator
_NORMAL = NormalDist()
_SIGMA = 0.5  # of log latency
_A, _B = 1.0, 3.0  # a prediction p is drawn from Beta(a, b), and comes true with probability p
_LOSS = float(
    -_A / (_A + _B) * (digamma(_A + 1) - digamma(_A + _B + 1))
    - _B / (_A + _B) * (digamma(_B + 1) - digamma(_A + _B + 1))
)  # the mean of its log-loss


@dataclass(frozen=True)
class Model:
    """How a version answers: its error rate, and what latency and loss are multiplied with."""

    errors: float = 0.01
    slower: float = 1.0
    loss: float = 1.0

    def over(self, metric: Metric, allowed: float) -> float:
        """The share of answers slower than `allowed` times the reference's quantile."""
        assert metric.quantile is not None
        return 1 - _NORMAL.cdf(_NORMAL.inv_cdf(metric.quantile) + math.log(allowed / self.slower) / _SIGMA)


EQUAL = Model()
REGRESSIONS = {  # worse by twice the margin
    "errors": replace(EQUAL, errors=EQUAL.errors + 2 * ERRORS.margin),
    "latency_p50": replace(EQUAL, slower=1 + 2 * P50.margin),
    "latency_p99": replace(EQUAL, slower=1 + 2 * P99.margin),
    "log_loss": replace(EQUAL, loss=1 + 2 * LOSS.margin / _LOSS),
}


def _losses(source: Random, count: int) -> np.ndarray:
    predicted = source.beta(_A, _B, count)
    came = source.random(count) < predicted
    return -np.log(np.where(came, predicted, 1 - predicted))


def _tallies(
    source: Random, model: Model, counts: np.ndarray, metrics: Sequence[Metric], *, own: bool
) -> list[dict[str, Tally]]:
    """One version's windows; `own` is for the challenger, whose thresholds are (1 + margin) times the pivots."""
    columns: dict[str, list[Tally]] = {}
    for metric in metrics:
        if metric.kind == "mean":
            values = np.minimum(model.loss * _losses(source, int(counts.sum())), metric.high)
            ends = np.cumsum(counts)
            sums, squares = (np.concatenate([[0.0], np.cumsum(values**power)]) for power in (1, 2))
            columns[metric.name] = [
                Tally(int(n), float(sums[end] - sums[end - n]), float(squares[end] - squares[end - n]))
                for n, end in zip(counts, ends, strict=True)
            ]
        else:
            allowed = 1 + metric.margin if own else 1.0
            rate = model.errors if metric.kind == "rate" else model.over(metric, allowed)
            ones = source.binomial(counts, rate)
            columns[metric.name] = [Tally(int(n), int(k)) for n, k in zip(counts, ones, strict=True)]
    return [{name: column[at] for name, column in columns.items()} for at in range(len(counts))]


def trial(
    source: Random,
    challenger: Model,
    weights: Sequence[int],
    requests: int,
    *,
    metrics: Sequence[Metric] = METRICS,
    champion: Model = EQUAL,
    start: int = 0,
) -> list[Window]:
    """Windows of one second, one for each weight, with so many requests each, split at random."""
    taken = source.binomial(requests, np.array(weights) / 100)
    old = _tallies(source, champion, requests - taken, metrics, own=False)
    new = _tallies(source, challenger, taken, metrics, own=True)
    return [Window(start + at, 1, one, other) for at, (one, other) in enumerate(zip(old, new, strict=True))]


def interval(count: int, trials: int) -> str:
    """The 95% Clopper-Pearson interval, in words."""
    low = float(beta.ppf(0.025, count, trials - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, trials - count)) if count < trials else 1.0
    return f"{count} of {trials}, 95% interval {low:.2%} to {high:.2%}"


# False rollbacks


def _naive(windows: Sequence[Window], margin: float) -> bool:
    """Whether a two-proportion z-test on errors at alpha, repeated after every window, ever says worse."""
    seen = np.array([
        [*(window.champion["errors"].count, window.champion["errors"].total),
         *(window.challenger["errors"].count, window.challenger["errors"].total)] for window in windows
    ]).cumsum(axis=0)  # fmt: skip
    n0, k0, n1, k1 = seen.T
    with np.errstate(divide="ignore", invalid="ignore"):
        p0, p1 = k0 / n0, k1 / n1
        z = (p1 - p0 - margin) / np.sqrt(p0 * (1 - p0) / n0 + p1 * (1 - p1) / n1)
    return bool(np.any(z > _NORMAL.inv_cdf(1 - ALPHA)))


def share(name: str, what: str, count: int, trials: int, *, goal: str, beside: str) -> Row:
    """In how many of so many trials something came about, and what stands beside it."""
    return Row(name, count / trials, "share", goal, f"{what}; {interval(count, trials)}. {beside}")


def false_rollbacks(trials: int = 1000) -> list[Row]:
    """How often a challenger that is not worse is rolled back, over trials of 90 windows of 200 requests.

    In a drift both get ten times the errors, twice the latency and 1.5 times the loss just when the weights change.
    """
    strict = tuple(replace(metric, margin=0.0) for metric in METRICS)
    edge = Model(errors=EQUAL.errors + ERRORS.margin, slower=1 + P50.margin, loss=1 + LOSS.margin / _LOSS)
    bad = Model(errors=0.1, slower=2.0, loss=1.5)
    weights = [weight for weight in WEIGHTS for _ in range(30)]

    def steps(source: Random, challenger: Model = EQUAL, metrics: Sequence[Metric] = METRICS) -> Sequence[Window]:
        return trial(source, challenger, weights, 200, metrics=metrics)

    def drifting(source: Random) -> Sequence[Window]:
        before = trial(source, EQUAL, [WEIGHTS[0]] * 45, 200)
        return before + trial(source, bad, [50] * 45, 200, champion=bad, start=45)

    begins, hard = (0, 30, 60), "equal models, all margins 0: the hardest case for them"
    cases: list[tuple[str, str, Callable[[Random], Sequence[Window]], Sequence[Metric], float, Sequence[int]]] = [
        ("", "equal models, the default margins", steps, METRICS, 0.0, begins),
        ("_margin_0", hard, partial(steps, metrics=strict), strict, 0.0, begins),
        ("_at_margin", "worse by just the margins", partial(steps, challenger=edge), METRICS, ERRORS.margin, begins),
        ("_drift", "equal models, a drift that both share", drifting, METRICS, 0.0, (0, 45)),
    ]
    rows: list[Row] = []
    for case, what, play, metrics, margin, starts in cases:
        seed, runs = (21, trials // 2) if play is drifting else (20, trials)
        source = np.random.default_rng(seed)
        worse = naive = 0
        for _ in range(runs):
            windows = play(source)
            worse += judge(windows, metrics=metrics, alpha=ALPHA, starts=starts, segments=len(starts)).answer == "worse"
            naive += _naive(windows, margin)
        beside = f"Naive repeated z-test on errors alone: {interval(naive, runs)}"
        rows.append(share(f"false_rollback_rate{case}", what, worse, runs, goal=f"<= {ALPHA}", beside=beside))
    return rows


# Missed regressions


@dataclass(frozen=True)
class Rollout:
    """How a challenger earns its traffic: percent and least number of windows of each step, requests a window."""

    steps: Sequence[tuple[int, int]] = tuple((weight, 5) for weight in WEIGHTS)
    requests: int = 1000
    limit: int = 40  # windows
    metrics: Sequence[Metric] = METRICS

    def ends(self, source: Random, *challengers: Model) -> str:
        """How it ends, looked at after every window; the last challenger also answers in the steps that follow."""
        windows: list[Window] = []
        starts = [0]
        while len(windows) < self.limit:
            at = len(starts) - 1
            weight, bake = self.steps[at]
            challenger = challengers[min(at, len(challengers) - 1)]
            windows += trial(source, challenger, [weight], self.requests, metrics=self.metrics, start=len(windows))
            if len(windows) < starts[-1] + bake - 1 and at < len(challengers) - 1:
                continue  # what is fine so far is not looked at before it may go on: this saves the bench's time
            last = at == len(self.steps) - 1
            rules = {"metrics": self.metrics, "alpha": ALPHA, "starts": starts, "segments": len(self.steps)}
            answer = judge(windows, last=last, **rules).answer
            if answer == "worse":
                return "rolled back"
            if answer == "not worse" and len(windows) - starts[-1] >= bake:
                if last:
                    return "promoted"
                starts.append(len(windows))
        return "timed out"


def missed_regressions(trials: int = 200) -> list[Row]:
    """How often a challenger that is worse by twice the margin of one metric is promoted."""
    rollout = Rollout()
    ends = {name: [rollout.ends(np.random.default_rng((30, at, n)), model) for n in range(trials)]
            for at, (name, model) in enumerate(REGRESSIONS.items())}  # fmt: skip
    equal = [rollout.ends(np.random.default_rng((31, n)), EQUAL) for n in range(trials // 2)]
    what = (
        "1,000 requests a window, 5%, 25%, 50%, at most 40 windows. "
        f"Equal models: {equal.count('promoted')} of {len(equal)} promoted"
    )
    return [_missed("missed_regression_rate", ends, what), *_missed_by_rate(sized(130))]


def _missed(name: str, ends: Mapping[str, Sequence[str]], what: str) -> Row:
    everything = [end for each in ends.values() for end in each]
    missed = everything.count("promoted")
    parts = ", ".join(
        f"{case} {each.count('promoted')} promoted, {each.count('timed out')} timed out of {len(each)}"
        for case, each in ends.items()
    )
    return Row(
        name, missed / len(everything), "share", "< 0.01", f"{interval(missed, len(everything))}: {parts}; {what}"
    )


def _missed_by_rate(trials: int) -> list[Row]:
    """The same where windows have few requests: of a metric that need not be proven, and in a short last step."""
    slow, failing = REGRESSIONS["latency_p99"], REGRESSIONS["errors"]
    cases: list[tuple[str, str, Rollout, tuple[Model, ...]]] = [
        ("latency_p99", "10%, 50%, three windows each at least",
         Rollout(steps=((10, 3), (50, 3)), limit=400, metrics=(ERRORS, P99)), (slow,)),
        ("last_step", "5% errors only in the last step: 50% for 100 windows, then 90% for six at least",
         Rollout(steps=((50, 100), (90, 6)), limit=200, metrics=(ERRORS,)), (EQUAL, failing)),
    ]  # fmt: skip
    rows: list[Row] = []
    for at, (name, what, rollout, models) in enumerate(cases):
        ends: dict[str, list[str]] = {}
        for requests in (60, 200, 1000):
            one = replace(rollout, requests=requests)
            seeds = ((32, at, requests, n) for n in range(trials))
            ends[f"{requests} a window"] = [one.ends(np.random.default_rng(seed), *models) for seed in seeds]
        rows.append(_missed(f"missed_regression_rate_{name}", ends, what))
    return rows


# Sample sizes


def fixed_size(metric: Metric, challenger: Model) -> float:
    """The challenger's observations that a fixed-size one-sided z-test needs, at the same alpha for each metric.

    n = (z(1 - alpha/K) + z(power))^2 (v0 + v1) / (difference - margin)^2, with as many of the champion; v: variances.
    """
    z = _NORMAL.inv_cdf(1 - ALPHA / len(METRICS)) + _NORMAL.inv_cdf(POWER)
    if metric.kind == "mean":
        sample = _losses(np.random.default_rng(1), 1_000_000)
        spread, gap = float(sample.var()) * (1 + challenger.loss**2), metric.margin
    else:
        p0, p1, margin = EQUAL.errors, challenger.errors, metric.margin
        if metric.kind == "quantile":
            p0, p1, margin = EQUAL.over(metric, 1.0), challenger.over(metric, 1 + metric.margin), 0.0
        spread, gap = p0 * (1 - p0) + p1 * (1 - p1), p1 - p0 - margin
    return z**2 * spread / gap**2


def _first(count: int, found: Callable[[int], bool]) -> int | None:
    """The least number of windows up to `count` at which it is found, by bisection: once found it stays found."""
    if not found(count):
        return None
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def sample_ratios(trials: int = 200) -> list[Row]:
    """Observations until a regression of twice the margin is found, beside a fixed test of the same power."""
    rows: list[Row] = []
    for metric in METRICS:
        source = np.random.default_rng(40)
        challenger = REGRESSIONS[metric.name]
        fixed = fixed_size(metric, challenger)
        requests = 2 * max(2, round(fixed / 80))  # a window is an 80th of the fixed test
        needed: list[float] = []
        missed = 0
        for _ in range(trials):
            windows = trial(source, challenger, [50] * 240, requests, metrics=[metric])
            first = _first(
                len(windows),
                lambda count, seen=windows, on=metric: (
                    judge(seen[:count], metrics=[on], alpha=ALPHA / len(METRICS)).answer == "worse"
                ),
            )
            missed += first is None
            needed.append(sum(window.challenger[metric.name].count for window in windows[:first]))
        mean, error = float(np.mean(needed)), 1.96 * float(np.std(needed)) / math.sqrt(trials)
        peer = (
            f"{mean:.0f} +- {error:.0f} of the challenger on average, 95th percentile {np.percentile(needed, 95):.0f}, "
            f"{missed} of {trials} not found; fixed z-test, same alpha for each of {len(METRICS)} metrics, "
            f"power {POWER:.0%}: {fixed:.0f}"
        )
        name = "sample_ratio" if metric is ERRORS else f"sample_ratio_{metric.name}"
        rows.append(Row(name, mean / fixed, "ratio", "< 1", peer))
    return rows


# Gross failures


def _windows_needed(challenger: Model, requests: int, trials: int) -> list[int]:
    """After how many windows it is found, 11 standing for more than ten."""
    source = np.random.default_rng(50)
    needed: list[int] = []
    for _ in range(trials):
        windows = trial(source, challenger, [WEIGHTS[0]] * 10, requests)
        looks = (judge(windows[:n], metrics=METRICS, alpha=ALPHA, segments=3).answer for n in range(1, 11))
        needed.append(next((n for n, answer in enumerate(looks, 1) if answer == "worse"), 11))
    return needed


def gross_failures(trials: int = 1000) -> list[Row]:
    """Windows until a gross failure is found at the first step, of which 5% of the traffic go to the challenger."""
    rows: list[Row] = []
    cases = [("", "50% errors", Model(errors=0.5)), ("_latency", "five times slower", Model(slower=5.0))]
    for name, what, challenger in cases:
        needed = _windows_needed(challenger, 400, trials)
        fewer = _windows_needed(challenger, 200, trials)
        within, of_fewer = (interval(sum(n <= 2 for n in each), trials) for each in (needed, fewer))
        peer = (
            f"{what}, 400 requests a window, 20 of them to the challenger; 99th percentile, "
            f"mean {np.mean(needed):.2f}, most {max(needed)}; within two: {within}. "
            f"With 200 a window, 10 of them: {of_fewer}"
        )
        rows.append(Row(f"gross_failure_windows{name}", float(np.percentile(needed, 99)), "windows", "<= 2", peer))
    return rows


def cost() -> list[Row]:
    """What judging costs, as at each tick of the controller: three steps, of 500 windows in all and of a week's."""
    rows: list[Row] = []
    for name, each, metrics in (("judge_cpu_ms", 167, METRICS), ("judge_cpu_ms_week", 6720, (ERRORS, P99))):
        windows = trial(np.random.default_rng(60), EQUAL, np.repeat(WEIGHTS, each).tolist(), 200)
        spent: list[float] = []
        for _ in range(9):
            begun = time.process_time()
            judge(windows, metrics=metrics, alpha=ALPHA, starts=(0, each, 2 * each), segments=3)
            spent.append(1000 * (time.process_time() - begun))
        what = f"{len(windows):,} windows and {len(metrics)} metrics"
        peer = f"CPU of one judging of {what}, median of {len(spent)}; most {max(spent):.1f}"
        rows.append(Row(name, statistics.median(spent), "ms", "< 50", peer))
    return rows


def rows() -> list[Row]:
    """Every row."""
    return [
        *false_rollbacks(sized(1000, 4)),
        *missed_regressions(sized(200, 4)),
        *sample_ratios(sized(200)),
        *gross_failures(sized(1000)),
        *cost(),
    ]
