"""The rollout's config: what is wrong, or can never end, is told with its path before anything changes."""

from __future__ import annotations

from typing import Any

import pytest

from modelstack.rollout.core import catalogue
from modelstack.rollout.core.plan import PlanError
from modelstack.rollout.judge.metrics import MetricError
from tests.program.refusals import refusal
from tests.program.strategies import STEP, strategy

BAKE = "a number from 0 to 1209600"
STRATEGIES = "all_at_once, canary, linear, steps, ab, shadow"


def judged(metrics: dict[str, Any]) -> dict[str, Any]:
    return {"rollout": {"judge": {"metrics": metrics}}}


# Sections of the config, and the lines of the refusal; of those on the rollout, below `modelstack:rollout`.
TOGETHER: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"rollout": {"strategy": {"kind": "canry", **STEP}}},
        [f"strategy.kind = \"canry\": allowed is one of {STRATEGIES}; did you mean 'canary'?"],
    ),
    ({"rollout": {"strategy": STEP}}, [f"strategy.kind is missing: allowed is one of {STRATEGIES}"]),
    (
        {"rollout": {"replay": {"request": 50}, "infrastructure": {"weight": 50}}},
        [
            "replay.request = 50: no such field; allowed are requests, max_errors, max_changed, "
            "max_latency_ratio, min_requests, on_too_few; did you mean 'requests'?",
            "infrastructure.weight = 50: no such field; allowed are kind, percent, bake_seconds",
        ],
    ),
    (
        {"rollout": {"strategy": {"kind": "canary", "weight": 5}}},
        [f"strategy.bake_seconds is missing: allowed is {BAKE}"],
    ),
    (
        {"rollout": {"strategy": strategy("linear", weight=5)}},
        ["strategy.weight = 5: no such field; allowed are kind, step_percent, bake_seconds"],
    ),
    (
        {"rollout": {"strategy": strategy("shadow", then=strategy("shadow"))}},
        ['strategy.then.kind = "shadow": allowed is one of canary, linear, steps, ab'],
    ),
    (
        {"rollout": {"strategy": strategy("shadow", then=strategy("canary", weight=100))}},
        ["strategy.then.weight = 100: allowed is a whole number from 1 to 99"],
    ),
    (
        {"rollout": {"strategy": strategy("steps", steps=[{**STEP, "weight": 50}, STEP])}},
        [
            'strategy.steps = [{"weight": 50, "bake_seconds": 1}, {"weight": 10, '
            '"bake_seconds": 1}]: the weights are [50, 10]; allowed are weights that ascend, each at most once'
        ],
    ),
    (
        {"rollout": {"steps": [STEP], "error_margin": 0.02}},
        [
            "steps = "
            '[{"weight": 10, "bake_seconds": 1}]: no such field; allowed are wait, strategy, judge, replay, '
            "infrastructure, max_minutes, on_timeout, watch_minutes, metrics_timeout_minutes",
            "error_margin = 0.02: no such field; allowed are wait, strategy, judge, replay, "
            "infrastructure, max_minutes, on_timeout, watch_minutes, metrics_timeout_minutes",
        ],
    ),
    (
        {"rollout": {"strategy": strategy("canary", bake_seconds=60), "max_minutes": 1}},
        ["max_minutes = 1: the steps bake for 60 s; allowed is a number above 1, up to 20160"],
    ),
    (
        {"rollout": {"strategy": strategy("linear", step_percent=10, bake_seconds=600)}},
        ["max_minutes = 60: the steps bake for 9 x 600 = 5400 s; allowed is a number above 90, up to 20160"],
    ),
    (
        {"rollout": {"strategy": strategy("shadow", bake_seconds=30, then=strategy("canary")), "max_minutes": 0.5}},
        ["max_minutes = 0.5: the steps bake for 30 + 1 = 31 s; allowed is a number above 0.516667, up to 20160"],
    ),
    (
        {"rollout": {"strategy": strategy("linear", step_percent=20, bake_seconds=0), "max_minutes": 5}},
        [
            "max_minutes = 5: the steps take 4 x 90 = 360 s at least, as each is judged on a whole "
            "window of monitoring.period_seconds = 60 s that ended 30 s ago; allowed is a number above 6, up to 20160"
        ],
    ),
    (
        judged({"eror": {}}),
        [
            "judge.metrics.eror: metric 'eror' is none of "
            f"{', '.join(catalogue.KNOWN)}; a metric of your own is a function in monitoring/, "
            "or needs kind, margin, metric, namespace too; "
            "did you mean 'errors'?"
        ],
    ),
    (
        judged({"revenue": {"kind": "mean", "margin": 1}}),
        [
            "judge.metrics.revenue: metric 'revenue' is none of "
            f"{', '.join(catalogue.KNOWN)}; a metric of your own is a function in monitoring/, "
            "or needs high, metric, namespace too"
        ],
    ),
    (
        judged(
            {
                "errors": {},
                "absolute_error": {"margin": 2, "prove": True},
                "revenue": {"kind": "mean", "margin": 1, "namespace": "shop", "metric": "Revenue"},
            }
        ),
        [
            "judge.metrics.absolute_error.high: must be given: the greatest error, which is "
            "`largest_error` of the model's answer.json; the judge compares values within low..high only",
            "judge.metrics.revenue.high: must be given: the greatest value of an observation; "
            "the judge compares values within low..high only",
        ],
    ),
    (
        judged({"errors": {"margin": 1}, "latency_p99": {"better": "higher"}}),
        [
            "judge.metrics.errors.margin = 1: expected less than 1, as rates differ by at most 1",
            'judge.metrics.latency_p99 = {"better": "higher"}: better of a known metric cannot be given',
        ],
    ),
    (
        judged({"errors": {"high": 2}, "latency_p99": {"low": 0}, "log_loss": {"high": 1}}),
        [
            "judge.metrics.errors.high = 2: only a mean has low and high, this is a rate",
            "judge.metrics.latency_p99.low = 0: only a mean has low and high, this is a quantile",
            "judge.metrics.log_loss.high = 1: allowed is 5 or more, as its values are published within 0..5",
        ],
    ),
    (
        judged({"errors": {}, "log_loss": {"low": 0.5, "high": 7}}),
        ["judge.metrics.log_loss.low = 0.5: allowed is 0 or less, as its values are published within 0..5"],
    ),
    (
        judged(
            {
                "errors": {},
                "log_loss": {"low": -1, "high": 7},
                "refunds": {"kind": "rate", "margin": 0.1, "namespace": "shop", "metric": "Refunds", "low": 0},
            }
        ),
        ["judge.metrics.refunds.low = 0: only a mean has low and high, this is a rate"],
    ),
    (
        judged({"latency_p50": {}, "latency_p99": {}}),
        [
            'judge.metrics = {"latency_p50": {}, "latency_p99": {}}: allowed is at least one with '
            "prove: true, or nothing could ever be promoted"
        ],
    ),
    (judged({}), ["judge.metrics = {}: allowed is at least one with prove: true, or nothing could ever be promoted"]),
    (
        {"rollout": {"infrastructure": {"kind": "canary", "percent": 60}}},
        ["infrastructure.percent = 60: allowed for canary is 1 to 50 percent"],
    ),
    (
        {"rollout": {"infrastructure": {"kind": "linear", "percent": 10, "bake_seconds": 3600}}},
        [
            "infrastructure.bake_seconds = 3600: linear by 10% has 10 waits, and 10 x 3600 s = "
            "36000 s, allowed is at most 27000 s in all (28800 s less 1800 s for the instances to come up)"
        ],
    ),
    (
        {"serving": {"instance_count": 1}, "rollout": {"infrastructure": {"kind": "rolling", "percent": 50}}},
        [
            'infrastructure.kind = "rolling": a batch is one instance at least, which is 100% of 1, '
            "allowed is at most 50%: 2 instances, or another kind"
        ],
    ),
    (
        {
            "serving": {"instance_count": 39},
            "rollout": {"infrastructure": {"kind": "rolling", "percent": 5, "bake_seconds": 1000}},
        },
        [
            "infrastructure.bake_seconds = 1000: rolling by 5% of 39 instances, 1 at a time, has 39 "
            "waits, and 39 x 1000 s = 39000 s, allowed is at most 27000 s in all (28800 s less 1800 s for the "
            "instances to come up)"
        ],
    ),
    (
        {"rollout": {"strategy": strategy("shadow"), "replay": {"requests": 5}}},
        [
            'replay = {"requests": 5}: requests are replayed before the first live step, and this strategy has none '
            "before the promotion; allowed is null, or a `then` in the strategy"
        ],
    ),
    (
        {"serving": {"capture_percent": 0}, "rollout": {"replay": {"requests": 5, "max_errors": 0}}},
        [
            'replay = {"requests": 5, "max_errors": 0}: serving.capture_percent is 0, so nothing is '
            "captured; allowed is null"
        ],
    ),
    (
        {"serving": {"instance_type": "ml.inf1.xlarge"}, "rollout": {"strategy": strategy("shadow")}},
        [
            'modelstack:serving.instance_type = "ml.inf1.xlarge": SageMaker has no shadow variants on Inf1; allowed is '
            "another type, or another rollout.strategy",
            'modelstack:serving.instance_type = "ml.inf1.xlarge": SageMaker passes guardrails over on Inf1; allowed is '
            "another type, or rollout.infrastructure: null",
        ],
    ),
]


@pytest.mark.parametrize(("values", "lines"), TOGETHER, ids=[str(values)[:80] for values, _ in TOGETHER])
def test_values_that_do_not_go_together_are_told_the_same_way(values: dict[str, Any], lines: list[str]) -> None:
    assert refusal(**values) == [line if ":serving" in line else f"modelstack:rollout.{line}" for line in lines]


def test_everything_wrong_in_a_rollout_is_told_at_once() -> None:
    wrong = {
        "strategy": strategy("canary", weight=0, bake_seconds=-1),
        "judge": {"alpha": 0, "metrics": {"eror": {}}},
        "infrastructure": {"kind": "rolling", "percent": 2},
        "on_timeout": "promote",
    }
    fields = [line.partition(" = ")[0].partition(": ")[0] for line in refusal(rollout=wrong)]
    assert fields == [
        "modelstack:rollout.strategy.weight",
        "modelstack:rollout.strategy.bake_seconds",
        "modelstack:rollout.judge.alpha",
        "modelstack:rollout.judge.metrics.eror",
        "modelstack:rollout.infrastructure.percent",
        "modelstack:rollout.on_timeout",
    ]


def test_rewording_what_a_plan_refuses_leaves_every_path_and_value(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = {"errors": {"margin": 1}, "latencey_p99": {}, "absolute_error": {}, "log_loss": {"low": 2.0}}
    wrong = {"judge": {"metrics": metrics}, "infrastructure": {"kind": "canary", "percent": 60}}
    paths = [line.partition(": ")[0] for line in refusal(rollout=wrong)]
    assert paths == [
        "modelstack:rollout.judge.metrics.errors.margin = 1",
        "modelstack:rollout.judge.metrics.latencey_p99",
        "modelstack:rollout.judge.metrics.absolute_error.high",
        "modelstack:rollout.judge.metrics.log_loss.low = 2",
        "modelstack:rollout.infrastructure.percent = 60",
    ]
    for error in (MetricError, catalogue.UnknownMetric, PlanError):
        monkeypatch.setattr(error, "__str__", lambda _: "?")
    assert [line.partition(": ")[0] for line in refusal(rollout=wrong)] == paths
