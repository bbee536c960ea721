"""A promotion and a rollback under constant load: how fast a bad release is taken back, and what was lost."""

from __future__ import annotations

import threading
import time
from datetime import date
from typing import Any

import yaml

from bench.bed import Bed, BenchError, must
from bench.rows import Row
from ops.replay import Failure, Report, background
from ops.snapshot import take
from ops.stack import Stack
from ops.target import ROOT, Target

_RATE = 80.0  # requests a second
_AT_LEAST = 10_000
_MODEL_FAILED = "500"  # the answer of a model that failed: it was asked, so the request was not lost


def under_load(bed: Bed) -> list[Row]:
    """Promote one release and roll a faulty one back, while requests come at a constant rate."""
    target = bed.target()
    with background(target, _RATE, start=date(2013, 3, 1)) as seen, _Weights(target) as weights:
        good = bed.stack.with_parameters(bed.folder, **_changed(bed.stack, 5))
        must(good.up(), "pulumi up of a good release")
        champion = take(target)
        begun = time.monotonic()
        bad = good.with_parameters(bed.folder, fault="errors")
        refused = bad.up()
        if refused.code == 0:
            raise BenchError(f"a faulty release was not refused:\n{refused.output[-2000:]}")
        variant = next(item.name for item in champion.variants if item.role == "champion")
        back = weights.full(variant, after=begun)
        while seen.sent < _AT_LEAST:
            time.sleep(0.2)
    failing = [failure for failure in seen.failures if failure.answer == _MODEL_FAILED]
    lost = [failure for failure in seen.failures if failure.answer != _MODEL_FAILED]
    return [_speed(failing, back), _after(failing, back), _lost(lost, seen)]


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


def _period() -> float:
    config = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())["config"]
    return float(config["modelstack:monitoring"]["period_seconds"])


def _changed(stack: Stack, more: int) -> dict[str, Any]:
    return {"max_iter": int(stack.parameters()["max_iter"]) + more}


class _Weights:
    """Reads the live weights ten times a second and remembers when a variant got everything."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._seen: list[tuple[float, dict[str, float]]] = []

    def __enter__(self) -> _Weights:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _look(self) -> None:
        sagemaker = self._target.client("sagemaker")
        while not self._stop.wait(0.1):
            live = sagemaker.describe_endpoint(EndpointName=self._target.endpoint)
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
