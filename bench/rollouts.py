"""A promotion and a rollback under constant load: how fast a bad release is taken back, and what was lost."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import yaml
from scipy.stats import binomtest

from bench import ROOT
from bench.bed import Bed, BenchError, must
from bench.rows import Row, sized
from demos.versions import as_good, at_fault
from modelstack.cli.again import again
from modelstack.cli.platform.aws.alarms import read, values
from modelstack.cli.replay import Failure, Report, background
from modelstack.cli.target import Target
from modelstack.cli.view.snapshot import take
from modelstack.platforms.aws.endpoint import controller_with
from modelstack.platforms.aws.metrics import VARIANT
from modelstack.rollout.core.errors import RolloutError

_RATE = 80.0  # requests a second
_AT_LEAST = 10_000
_EDGE = 0.5  # seconds beside a change of weights that are not counted: a request is sent before it is routed
_MODEL_FAILED = "500"  # the answer of a model that failed: it was asked, so the request was not lost


def under_load(bed: Bed) -> list[Row]:
    """Promote one release and roll a faulty one back, while requests come at a constant rate."""
    target = bed.target()
    weights, ticks = _Weights(target), _Ticks(target)
    with background(target, _RATE) as seen, again(0.1, weights.look), again(2, ticks.look):
        good = as_good(bed.stack, bed.folder)
        must(good.up(), "pulumi up of a good release")
        alarms = _alarms(target)
        champion = take(target)
        begun = time.monotonic()
        shares = weights.steps()
        bad = at_fault(good, bed.folder)
        refused = bad.up()
        if refused.code == 0:
            raise BenchError(f"a faulty release was not refused:\n{refused.output[-2000:]}")
        variant = next(item.name for item in champion.variants if item.role == "champion")
        back = weights.full(variant, after=begun)
        while seen.sent < sized(_AT_LEAST):
            time.sleep(0.2)
    failing = [failure for failure in seen.failures if failure.answer == _MODEL_FAILED]
    lost = [failure for failure in seen.failures if failure.answer != _MODEL_FAILED]
    return [alarms, _speed(failing, back), _after(failing, back), _lost(lost, seen), _split(shares, seen), ticks.row()]


def _alarms(target: Target) -> Row:
    """The alarms of a stack that declares two variants: after a promotion, the champion and the one before it."""
    found = read(target)
    metrics = sum(max(1, sum("MetricStat" in query for query in item.get("Metrics", ()))) for item in found)
    variants = {name for item in found for name in values(item, VARIANT)}
    if len(variants) != 2:
        raise BenchError(f"the alarms are of {len(variants)} variants, expected two: {sorted(variants)}")
    composite = sum("AlarmRule" in item for item in found)
    peer = f"over {metrics - composite} metrics, each of which AWS bills; {composite} of them composite"
    return Row("alarms_two_variants", len(found), "alarms", "<= 16", peer)


def _speed(failing: list[Failure], back: float) -> Row:
    if not failing:
        raise BenchError("the faulty release never answered a request, so nothing was measured")
    period = _period()
    first = min(failure.at for failure in failing)
    peer = f"{back - first:.1f} s from the first failing answer; alarm period {period:.0f} s; {len(failing)} failed"
    return Row("rollback_periods", round((back - first) / period, 2), "alarm periods", "<= 2", peer)


def _after(failing: list[Failure], back: float) -> Row:
    late = sum(failure.at > back for failure in failing)
    return Row("failed_after_rollback", late, "requests", "== 0", "sent after champion weight 100% was seen")


def _lost(lost: list[Failure], seen: Report) -> Row:
    said = f"; first: {lost[0].text}" if lost else ""
    peer = f"of {seen.sent:,} at {_RATE:.0f}/s, p50 {seen.quantile(0.5):.0f} ms, p99 {seen.quantile(0.99):.0f} ms{said}"
    return Row("lost_requests", len(lost), "requests", "== 0", peer)


def _split(steps: list[Step], seen: Report) -> Row:
    """The least p-value, over the steps of the promotion, of the split that was seen by the weights that were set."""
    told: list[str] = []
    least = 1.0
    for step in steps:
        routed = [name for at, name in seen.routed if step.start + _EDGE < at < step.end - _EDGE]
        got = sum(name == step.variant for name in routed)
        if routed:
            p = float(binomtest(got, len(routed), step.share).pvalue)
            least = min(least, p)
            told.append(f"{got:,} of {len(routed):,} at {step.share:.0%} (p {p:.2g})")
    if not told:
        raise BenchError("no step of the promotion was seen, so its split was not measured")
    return Row("split_p_value", round(least, 4), "p-value", ">= 0.001", "; ".join(told))


def _period() -> float:
    config = yaml.safe_load((ROOT / "stacks/Pulumi.local.yaml").read_text())["config"]
    return float(config["modelstack:monitoring"]["period_seconds"])


@dataclass(frozen=True)
class Step:
    """A time in which two variants shared the traffic by fixed weights.

    Attributes:
        start: Monotonic seconds.
        end: Monotonic seconds.
        variant: One of the two.
        share: Its weight over the sum of both.
    """

    start: float
    end: float
    variant: str
    share: float


class _Weights:
    """Reads the live weights and remembers when a variant got everything."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._seen: list[tuple[float, dict[str, float]]] = []

    def look(self) -> None:
        """Read them once."""
        live = self._target.client("sagemaker").describe_endpoint(EndpointName=self._target.endpoint)
        weights = {item["VariantName"]: item["CurrentWeight"] for item in live["ProductionVariants"]}
        self._seen.append((time.monotonic(), weights))

    def full(self, variant: str, *, after: float) -> float:
        """When `variant` had all the weight again, after another had some of it since `after`; monotonic seconds."""
        shared = False
        for at, weights in self._seen:
            if at < after:
                continue
            others = sum(weight for name, weight in weights.items() if name != variant)
            if others > 0:
                shared = True
            elif shared and weights.get(variant, 0) > 0:
                return at
        raise BenchError(f"{variant} never got all traffic back")

    def steps(self) -> list[Step]:
        """The times so far in which two variants had a share each."""
        found: list[Step] = []
        for weights, looks in groupby(self._seen, key=itemgetter(1)):
            times = [at for at, _ in looks]
            total = sum(weights.values())
            shared = [name for name, weight in sorted(weights.items()) if 0 < weight < total]
            if shared:
                found.append(Step(times[0], times[-1], shared[0], weights[shared[0]] / total))
        return found


class _Ticks:
    """Looks at the trial as a controller's step does, and remembers the CPU that each look took."""

    def __init__(self, target: Target) -> None:
        self._controller = controller_with(target.client, target.endpoint, target.output("journal_table"), by="bench")
        self._spent: list[float] = []

    def look(self) -> None:
        """Look once."""
        begun = time.thread_time()
        with suppress(RolloutError):
            if self._controller.status().decision is not None:
                self._spent.append(1000 * (time.thread_time() - begun))

    def row(self) -> Row:
        """The median look: journal, endpoint, metrics, judgement and decision."""
        if not self._spent:
            raise BenchError("no trial was looked at, so no step was measured")
        ordered = sorted(self._spent)
        peer = f"median of {len(ordered)} looks at trials; the longest {ordered[-1]:.0f} ms; the clients' work included"
        return Row("step_cpu_ms", round(ordered[len(ordered) // 2], 1), "ms of CPU", "<= 50", peer)
