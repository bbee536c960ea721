from __future__ import annotations

from typing import Any

import pytest

from modelstack.rollout.core.plan import Plan, PlanError, Step

GOOD: dict[str, Any] = {"steps": [{"weight": 10, "bake_seconds": 30}, {"weight": 50, "bake_seconds": 30}]}


def steps(*weights: Any) -> dict[str, Any]:
    return {"steps": [{"weight": weight, "bake_seconds": 1} for weight in weights]}


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"steps": []}, "rollout.steps", "[]"),
        ({"steps": "10%"}, "rollout.steps", "'10%'"),
        ({"steps": [10, 50]}, "rollout.steps", "10"),
        ({"steps": [{"weight": 10}]}, "rollout.steps", "{'weight': 10}"),
        (steps(0), "rollout.steps.weight", "0"),
        (steps(101), "rollout.steps.weight", "101"),
        (steps(9, 100), "rollout.steps.weight", "100"),
        ({"steps": [GOOD["steps"][0], {"weight": 5, "bake_seconds": 1, "shadow": True}]}, "first", "shadow"),
        (steps(33.3), "rollout.steps.weight", "33.3"),
        (steps(True), "rollout.steps.weight", "True"),
        ({"steps": [{"weight": 10, "bake_seconds": -1}]}, "rollout.steps.bake_seconds", "-1"),
        (steps(50, 10), "ascend", "[50, 10]"),
        (steps(10, 10), "ascend", "[10, 10]"),
        ({"min_requests": 0}, "rollout.min_requests", "0"),
        ({"min_requests": "many"}, "rollout.min_requests", "'many'"),
        ({"alpha": 0}, "rollout.alpha", "0"),
        ({"alpha": float("nan")}, "rollout.alpha", "nan"),
        ({"metrics": []}, "rollout.metrics", "[]"),
        ({"metrics": [{"name": "errors", "kind": "rate", "margin": 0.1, "prove": False}]}, "rollout.metrics", "errors"),
        ({"metrics": [{"name": "x", "kind": "rate", "margin": 0.1}] * 2}, "rollout.metrics", "['x', 'x']"),
        ({"metrics": [{"margins": 2}]}, "rollout.metrics", "margins"),
        ({"promote_when": "always"}, "rollout.promote_when", "not_worse or better"),
        ({"replay": {"requests": 0}}, "rollout.replay.requests", "0"),
        ({"replay": {"max_changed": 2}}, "rollout.replay.max_changed", "2"),
        ({"replay": {"min_requests": 0}}, "rollout.replay.min_requests", "0"),
        ({"replay": {"on_too_few": "promote"}}, "rollout.replay.on_too_few", "promote"),
        ({"replay": 5}, "rollout.replay", "5"),
        ({"max_seconds": 60}, "rollout.max_seconds", "30 + 30 = 60 s"),
        ({"on_timeout": "promote"}, "rollout.on_timeout", "roll_back or hold"),
        ({"window_seconds": 0}, "rollout.window_seconds", "0"),
        ({"settle_seconds": -1}, "rollout.settle_seconds", "-1"),
        ({"watch_seconds": -1}, "rollout.watch_seconds", "-1"),
        ({"bake": 5}, "rollout.bake", "one of the fields alpha"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_field_value_and_what_is(
    change: dict[str, Any], field: str, value: str
) -> None:
    with pytest.raises(PlanError) as refused:
        Plan.from_dict({**GOOD, **change})
    assert field in str(refused.value)
    assert value in str(refused.value)
    assert "allowed is" in str(refused.value)


def test_a_plan_survives_json() -> None:
    plan = Plan(steps=(Step(5, 1.5), Step(25, 60)), on_timeout="hold", settle_seconds=3, alpha=0.01)
    assert Plan.from_dict(plan.as_dict()) == plan


def test_no_more_requests_are_waited_for_than_are_replayed() -> None:
    plan = Plan.from_dict({**GOOD, "replay": {"requests": 5}})  # as an older journal may have it
    assert (plan.replay.least, plan.replay.waits(4), plan.replay.waits(5)) == (5, True, False)


def test_a_plan_without_a_settle_time_waits_half_a_window() -> None:
    assert Plan.from_dict({**GOOD, "window_seconds": 60}).settle == 30
    assert Plan.from_dict({**GOOD, "window_seconds": 60, "settle_seconds": 0}).settle == 0


def test_a_metric_that_is_not_allowed_is_refused_with_the_rule_that_it_breaks() -> None:
    with pytest.raises(
        PlanError, match=r"rollout.metrics: got .*metric 'errors': margin is -1; expected .* at least 0"
    ):
        Plan.from_dict({**GOOD, "metrics": [{"name": "errors", "kind": "rate", "margin": -1}]})
