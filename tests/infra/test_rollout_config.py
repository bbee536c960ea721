"""The rollout's config: what is wrong, or can never end, is told with its path before anything changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from infra.config.allowed import what_is_allowed
from infra.config.rollout_settings import (
    AB,
    AllAtOnce,
    Canary,
    InfrastructureSettings,
    JudgeSettings,
    Linear,
    MetricSettings,
    ReplaySettings,
    RolloutSettings,
    Shadow,
    Steps,
    StepSettings,
)
from rollout.core import catalogue
from rollout.core.plan import PlanError
from rollout.judge.metrics import MetricError
from tests.infra.refusals import constraints, kind_of, refusal
from tests.infra.strategies import STEP, strategy

WEIGHT, PERCENT = "a whole number from 1 to 99", "a whole number from 1 to 100"
BAKE, DAY = "a number from 0 to 1209600", "a number above 0, up to 1209600, or null"
STEPS = "a list of 1 to 20, each a section with weight, bake_seconds, approve"
STRATEGIES = "all_at_once, canary, linear, steps, ab, shadow"
JUDGE = "alpha, min_requests, promote_when, metrics"
METRIC = "margin, prove, low, high, kind, better, namespace, metric"
LIVE = "a section with kind, one of canary, linear, steps, ab, and its fields, or null"
SECTIONS: dict[str, type[BaseModel]] = {
    "all_at_once": AllAtOnce,
    "canary": Canary,
    "linear": Linear,
    "steps": Steps,
    "ab": AB,
    "shadow": Shadow,
}


# --- values that are wrong by themselves

# Strategy, field, a value that it must not have, and what the message says is allowed.
WRONG_STRATEGY: list[tuple[str, str, Any, str]] = [
    ("all_at_once", "bake_seconds", -1, BAKE),
    ("all_at_once", "bake_seconds", 1_209_601, BAKE),
    ("all_at_once", "bake_seconds", "1", BAKE),
    ("canary", "weight", 0, WEIGHT),
    ("canary", "weight", 100, WEIGHT),
    ("canary", "weight", "10%", WEIGHT),
    ("canary", "bake_seconds", -1, BAKE),
    ("canary", "bake_seconds", 1_209_601, BAKE),
    ("canary", "bake_seconds", None, BAKE),
    ("linear", "step_percent", 0, "a whole number from 1 to 50"),
    ("linear", "step_percent", 51, "a whole number from 1 to 50"),
    ("linear", "step_percent", 12.5, "a whole number from 1 to 50"),
    ("linear", "bake_seconds", -1, BAKE),
    ("linear", "bake_seconds", 1_209_601, BAKE),
    ("linear", "bake_seconds", "1", BAKE),
    ("steps", "steps", [], STEPS),
    ("steps", "steps", [STEP] * 21, STEPS),
    ("steps", "steps", 10, STEPS),
    ("steps", "steps[0]", 10, "a section with weight, bake_seconds, approve"),
    ("steps", "steps[0].weight", 0, WEIGHT),
    ("steps", "steps[0].weight", 100, WEIGHT),
    ("steps", "steps[0].weight", "10", WEIGHT),
    ("steps", "steps[0].bake_seconds", -1, BAKE),
    ("steps", "steps[0].bake_seconds", 1_209_601, BAKE),
    ("steps", "steps[0].bake_seconds", "1", BAKE),
    ("steps", "steps[0].approve", "ada", "true or false"),
    ("ab", "weight", 0, WEIGHT),
    ("ab", "weight", 100, WEIGHT),
    ("ab", "weight", True, WEIGHT),
    ("ab", "seconds", 0, DAY),
    ("ab", "seconds", 1_209_601, DAY),
    ("ab", "seconds", "1h", DAY),
    ("shadow", "percent", 0, PERCENT),
    ("shadow", "percent", 101, PERCENT),
    ("shadow", "percent", 0.5, PERCENT),
    ("shadow", "bake_seconds", -1, BAKE),
    ("shadow", "bake_seconds", 1_209_601, BAKE),
    ("shadow", "bake_seconds", "1", BAKE),
    ("shadow", "approve", 1, "true or false"),
    ("shadow", "then", 10, LIVE),
]

# Field of the section, a value that it must not have, and what the message says is allowed.
WRONG: list[tuple[str, Any, str]] = [
    ("wait", "yes", "true or false"),
    ("strategy", 7, f"a section with kind, one of {STRATEGIES}, and its fields"),
    ("strategy", None, f"a section with kind, one of {STRATEGIES}, and its fields"),
    ("judge", 0.05, f"a section with {JUDGE}"),
    ("judge.alpha", 0, "a number from 0.000000001 to 0.5"),
    ("judge.alpha", 0.6, "a number from 0.000000001 to 0.5"),
    ("judge.alpha", None, "a number from 0.000000001 to 0.5"),
    ("judge.min_requests", 0, "a whole number from 1 to 1000000000"),
    ("judge.min_requests", 1_000_000_001, "a whole number from 1 to 1000000000"),
    ("judge.min_requests", 1.5, "a whole number from 1 to 1000000000"),
    ("judge.promote_when", "equal", "one of not_worse, better"),
    ("judge.metrics", ["errors"], "a section of names and values"),
    ("judge.metrics.errors", None, f"a section with {METRIC}"),
    ("judge.metrics.errors.margin", -0.1, "a number from 0, or null"),
    ("judge.metrics.errors.margin", "2%", "a number from 0, or null"),
    ("judge.metrics.errors.prove", "yes", "true or false, or null"),
    ("judge.metrics.errors.low", "0", "a number, or null"),
    ("judge.metrics.errors.high", "1", "a number, or null"),
    ("judge.metrics.errors.kind", "quantile", "one of rate, mean, or null"),
    ("judge.metrics.errors.better", "less", "one of lower, higher, or null"),
    ("judge.metrics.errors.namespace", 1, "a text from 1, or null"),
    ("judge.metrics.errors.namespace", "", "a text from 1, or null"),
    ("judge.metrics.errors.metric", 1, "a text from 1, or null"),
    ("judge.metrics.errors.metric", "", "a text from 1, or null"),
    (
        "replay",
        100,
        ("a section with requests, max_errors, max_changed, max_latency_ratio, min_requests, on_too_few, or null"),
    ),
    ("replay.requests", 0, "a whole number from 1 to 10000"),
    ("replay.requests", 10_001, "a whole number from 1 to 10000"),
    ("replay.requests", "all", "a whole number from 1 to 10000"),
    ("replay.min_requests", 0, "a whole number from 1 to 10000"),
    ("replay.min_requests", 10_001, "a whole number from 1 to 10000"),
    ("replay.min_requests", "all", "a whole number from 1 to 10000"),
    ("replay.on_too_few", "promote", "one of wait, pass"),
    ("replay.max_errors", -0.1, "a number from 0 to 1"),
    ("replay.max_errors", 2, "a number from 0 to 1"),
    ("replay.max_errors", None, "a number from 0 to 1"),
    ("replay.max_changed", -0.1, "a number from 0 to 1"),
    ("replay.max_changed", 20, "a number from 0 to 1"),
    ("replay.max_changed", "20%", "a number from 0 to 1"),
    ("replay.max_latency_ratio", 0, "a number from 0.1 to 1000"),
    ("replay.max_latency_ratio", 1001, "a number from 0.1 to 1000"),
    ("replay.max_latency_ratio", "3x", "a number from 0.1 to 1000"),
    ("infrastructure", "canary", "a section with kind, percent, bake_seconds, or null"),
    ("infrastructure.kind", "blue_green", "one of all_at_once, canary, linear, rolling"),
    ("infrastructure.percent", 0, PERCENT),
    ("infrastructure.percent", 101, PERCENT),
    ("infrastructure.percent", "half", PERCENT),
    ("infrastructure.bake_seconds", -1, "a whole number from 0 to 3600"),
    ("infrastructure.bake_seconds", 3601, "a whole number from 0 to 3600"),
    ("infrastructure.bake_seconds", 0.5, "a whole number from 0 to 3600"),
    ("max_minutes", 0, "a number above 0, up to 20160"),
    ("max_minutes", 20_161, "a number above 0, up to 20160"),
    ("max_minutes", "1h", "a number above 0, up to 20160"),
    ("on_timeout", "promote", "one of roll_back, hold"),
    ("watch_minutes", -1, "a number from 0 to 43200"),
    ("watch_minutes", 43_201, "a number from 0 to 43200"),
    ("watch_minutes", "1h", "a number from 0 to 43200"),
]


def in_strategy(kind: str, field: str, value: Any) -> dict[str, Any]:
    """A strategy in which one field has a value."""
    name, indexed, below = field.partition("[0]")
    if indexed:
        value = [{**STEP, below.removeprefix("."): value} if below else value]
    return {"strategy": strategy(kind, **{name: value})}


def at(field: str, value: Any) -> dict[str, Any]:
    """The section in which one field has a value."""
    for part in reversed(field.split(".")):
        value = {part: value}
    return value


def told(line: str, field: str, value: Any, allowed: str) -> None:
    """A line of a refusal says field, value and what is allowed."""
    where, _, rule = line.partition(": allowed is ")
    shown = where.removeprefix(f"modelstack:rollout.{field} = ")
    assert json.dumps(value).startswith(shown.rstrip("…"))
    assert rule == allowed


@pytest.mark.parametrize(
    ("kind", "field", "value", "allowed"),
    WRONG_STRATEGY,
    ids=[f"{row[0]}.{row[1]}={row[2]!r:.20}" for row in WRONG_STRATEGY],
)
def test_wrong_value_of_a_strategy_is_told_with_its_path_in_the_file(
    kind: str, field: str, value: Any, allowed: str
) -> None:
    (line,) = refusal(rollout=in_strategy(kind, field, value))
    told(line, f"strategy.{field}", value, allowed)


@pytest.mark.parametrize(("field", "value", "allowed"), WRONG, ids=[f"{row[0]}={row[1]!r:.20}" for row in WRONG])
def test_wrong_value_is_told_with_field_value_and_what_is_allowed(field: str, value: Any, allowed: str) -> None:
    (line,) = refusal(rollout=at(field, value))
    told(line, field, value, allowed)


def test_every_constraint_of_the_section_has_its_row_above() -> None:
    tried: set[tuple[str, str]] = set()
    rows = [(f"{kind}.{field}", in_strategy(kind, field, value)) for kind, field, value, _ in WRONG_STRATEGY]
    for path, section in [*rows, *((field, at(field, value)) for field, value, _ in WRONG)]:
        with pytest.raises(ValidationError) as caught:
            RolloutSettings.model_validate(section)
        tried |= {(path, kind_of(item["type"])) for item in caught.value.errors()}
    wanted = constraints(RolloutSettings, "", {"judge.metrics": (MetricSettings, ".errors")})
    for kind, section in SECTIONS.items():
        wanted |= constraints(section, kind, {"steps.steps": (StepSettings, "[0]")}) - {(f"{kind}.kind", "type")}
    assert not wanted - tried


def test_description_of_a_field_says_what_it_is_and_leaves_the_rule_to_the_constraints() -> None:
    others = (StepSettings, JudgeSettings, MetricSettings, ReplaySettings, InfrastructureSettings, RolloutSettings)
    for model in (*SECTIONS.values(), *others):
        for name, field in model.model_fields.items():
            assert isinstance(field, FieldInfo) and field.description, f"{model.__name__}.{name}"
            assert field.description not in what_is_allowed((name,), model)


# --- values that do not go together

# Sections of the config, and the lines of the refusal.
TOGETHER: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"rollout": {"strategy": {"kind": "canry", **STEP}}},
        [f"modelstack:rollout.strategy.kind = \"canry\": allowed is one of {STRATEGIES}; did you mean 'canary'?"],
    ),
    (
        {"rollout": {"strategy": STEP}},
        [f"modelstack:rollout.strategy.kind is missing: allowed is one of {STRATEGIES}"],
    ),
    (
        {"rollout": {"replay": {"request": 50}, "infrastructure": {"weight": 50}}},
        [
            "modelstack:rollout.replay.request = 50: no such field; allowed are requests, max_errors, max_changed, "
            "max_latency_ratio, min_requests, on_too_few; did you mean 'requests'?",
            "modelstack:rollout.infrastructure.weight = 50: no such field; allowed are kind, percent, bake_seconds",
        ],
    ),
    (
        {"rollout": {"strategy": {"kind": "canary", "weight": 5}}},
        [f"modelstack:rollout.strategy.bake_seconds is missing: allowed is {BAKE}"],
    ),
    (
        {"rollout": {"strategy": strategy("linear", weight=5)}},
        ["modelstack:rollout.strategy.weight = 5: no such field; allowed are kind, step_percent, bake_seconds"],
    ),
    (
        {"rollout": {"strategy": strategy("shadow", then=strategy("shadow"))}},
        ['modelstack:rollout.strategy.then.kind = "shadow": allowed is one of canary, linear, steps, ab'],
    ),
    (
        {"rollout": {"strategy": strategy("shadow", then=strategy("canary", weight=100))}},
        [f"modelstack:rollout.strategy.then.weight = 100: allowed is {WEIGHT}"],
    ),
    (
        {"rollout": {"strategy": strategy("steps", steps=[{**STEP, "weight": 50}, STEP])}},
        [
            'modelstack:rollout.strategy.steps = [{"weight": 50, "bake_seconds": 1}, {"weight": 10, '
            '"bake_seconds": 1}]: the weights are [50, 10]; allowed are weights that ascend, each at most once'
        ],
    ),
    (
        {"rollout": {"steps": [STEP], "error_margin": 0.02}},
        [
            "modelstack:rollout.steps = "
            '[{"weight": 10, "bake_seconds": 1}]: no such field; allowed are wait, strategy, judge, replay, '
            "infrastructure, max_minutes, on_timeout, watch_minutes",
            "modelstack:rollout.error_margin = 0.02: no such field; allowed are wait, strategy, judge, replay, "
            "infrastructure, max_minutes, on_timeout, watch_minutes",
        ],
    ),
    (
        {"rollout": {"strategy": strategy("canary", bake_seconds=60), "max_minutes": 1}},
        ["modelstack:rollout.max_minutes = 1: the steps bake for 60 s; allowed is a number above 1, up to 20160"],
    ),
    (
        {"rollout": {"strategy": strategy("linear", step_percent=10, bake_seconds=600)}},
        [
            "modelstack:rollout.max_minutes = 60: the steps bake for 9 x 600 = 5400 s; "
            "allowed is a number above 90, up to 20160"
        ],
    ),
    (
        {"rollout": {"strategy": strategy("shadow", bake_seconds=30, then=strategy("canary")), "max_minutes": 0.5}},
        [
            "modelstack:rollout.max_minutes = 0.5: the steps bake for 30 + 1 = 31 s; allowed is a number above "
            "0.516667, up to 20160"
        ],
    ),
    (
        {"rollout": {"strategy": strategy("linear", step_percent=20, bake_seconds=0), "max_minutes": 5}},
        [
            "modelstack:rollout.max_minutes = 5: the steps take 4 x 90 = 360 s at least, as each is judged on a whole "
            "window of monitoring.period_seconds = 60 s that ended 30 s ago; allowed is a number above 6, up to 20160"
        ],
    ),
    (
        {"rollout": {"judge": {"metrics": {"eror": {}}}}},
        [
            "modelstack:rollout.judge.metrics.eror: metric 'eror' is none of "
            f"{', '.join(catalogue.KNOWN)}; a metric of your own needs kind, margin, metric, namespace too; "
            "did you mean 'errors'?"
        ],
    ),
    (
        {"rollout": {"judge": {"metrics": {"revenue": {"kind": "mean", "margin": 1}}}}},
        [
            "modelstack:rollout.judge.metrics.revenue: metric 'revenue' is none of "
            f"{', '.join(catalogue.KNOWN)}; a metric of your own needs high, metric, namespace too"
        ],
    ),
    (
        {
            "rollout": {
                "judge": {
                    "metrics": {
                        "errors": {},
                        "absolute_error": {"margin": 2, "prove": True},
                        "revenue": {"kind": "mean", "margin": 1, "namespace": "shop", "metric": "Revenue"},
                    }
                }
            }
        },
        [
            "modelstack:rollout.judge.metrics.absolute_error.high: must be given: the greatest error, which is "
            "`largest_error` of the model's answer.json; the judge compares values within low..high only",
            "modelstack:rollout.judge.metrics.revenue.high: must be given: the greatest value of an observation; "
            "the judge compares values within low..high only",
        ],
    ),
    (
        {"rollout": {"judge": {"metrics": {"errors": {"margin": 1}, "latency_p99": {"better": "higher"}}}}},
        [
            "modelstack:rollout.judge.metrics.errors.margin = 1: expected less than 1, as rates differ by at most 1",
            'modelstack:rollout.judge.metrics.latency_p99 = {"better": "higher"}: better of a known metric '
            "cannot be given",
        ],
    ),
    (
        {
            "rollout": {
                "judge": {"metrics": {"errors": {"high": 2}, "latency_p99": {"low": 0}, "log_loss": {"high": 1}}}
            }
        },
        [
            "modelstack:rollout.judge.metrics.errors.high = 2: only a mean has low and high, this is a rate",
            "modelstack:rollout.judge.metrics.latency_p99.low = 0: only a mean has low and high, this is a quantile",
            "modelstack:rollout.judge.metrics.log_loss.high = 1: allowed is 5 or more, as its values are published "
            "within 0..5",
        ],
    ),
    (
        {"rollout": {"judge": {"metrics": {"errors": {}, "log_loss": {"low": 0.5, "high": 7}}}}},
        [
            "modelstack:rollout.judge.metrics.log_loss.low = 0.5: allowed is 0 or less, as its values are published "
            "within 0..5"
        ],
    ),
    (
        {
            "rollout": {
                "judge": {
                    "metrics": {
                        "errors": {},
                        "log_loss": {"low": -1, "high": 7},
                        "refunds": {"kind": "rate", "margin": 0.1, "namespace": "shop", "metric": "Refunds", "low": 0},
                    }
                }
            }
        },
        ["modelstack:rollout.judge.metrics.refunds.low = 0: only a mean has low and high, this is a rate"],
    ),
    (
        {"rollout": {"judge": {"metrics": {"latency_p50": {}, "latency_p99": {}}}}},
        [
            'modelstack:rollout.judge.metrics = {"latency_p50": {}, "latency_p99": {}}: allowed is at least one with '
            "prove: true, or nothing could ever be promoted"
        ],
    ),
    (
        {"rollout": {"judge": {"metrics": {}}}},
        [
            "modelstack:rollout.judge.metrics = {}: allowed is at least one with prove: true, "
            "or nothing could ever be promoted"
        ],
    ),
    (
        {"rollout": {"infrastructure": {"kind": "canary", "percent": 60}}},
        ["modelstack:rollout.infrastructure.percent = 60: allowed for canary is 1 to 50 percent"],
    ),
    (
        {"rollout": {"infrastructure": {"kind": "linear", "percent": 10, "bake_seconds": 3600}}},
        [
            "modelstack:rollout.infrastructure.bake_seconds = 3600: linear by 10% has 10 waits, and 10 x 3600 s = "
            "36000 s, allowed is at most 28200 s in all (28800 s less 600 s for the instances to come up)"
        ],
    ),
    (
        {"serving": {"instance_count": 1}, "rollout": {"infrastructure": {"kind": "rolling", "percent": 50}}},
        [
            'modelstack:rollout.infrastructure.kind = "rolling": a batch is one instance at least, which is 100% of 1, '
            "allowed is at most 50%: 2 instances, or another kind"
        ],
    ),
    (
        {
            "serving": {"instance_count": 39},
            "rollout": {"infrastructure": {"kind": "rolling", "percent": 5, "bake_seconds": 1000}},
        },
        [
            "modelstack:rollout.infrastructure.bake_seconds = 1000: rolling by 5% of 39 instances, 1 at a time, has 39 "
            "waits, and 39 x 1000 s = 39000 s, allowed is at most 28200 s in all (28800 s less 600 s for the instances "
            "to come up)"
        ],
    ),
    (
        {"rollout": {"strategy": strategy("shadow"), "replay": {"requests": 5}}},
        [
            'modelstack:rollout.replay = {"requests": 5}: SageMaker lets nobody ask a shadow variant by name, and this '
            "strategy has no live step before the promotion; allowed is null, or a `then` in the strategy"
        ],
    ),
    (
        {"serving": {"capture_percent": 0}, "rollout": {"replay": {"requests": 5, "max_errors": 0}}},
        [
            'modelstack:rollout.replay = {"requests": 5, "max_errors": 0}: serving.capture_percent is 0, so nothing is '
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
    assert refusal(**values) == lines


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
