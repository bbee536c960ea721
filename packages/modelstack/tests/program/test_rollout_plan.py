"""What becomes of a rollout's config that is right: every strategy is its plan, and what is left out has its value."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelstack.program.config.rollout_settings import InfrastructureSettings, RolloutSettings
from modelstack.program.config.settings import Settings
from modelstack.rollout.core.plan import Guard, Plan, ReplayGate, Step
from tests.program.refusals import load
from tests.program.strategies import GOOD, STEP, strategy

ROOT = Path(__file__).resolve().parents[4]


def rollout(**section: Any) -> RolloutSettings:
    return load(rollout=section).rollout


def plan(**section: Any) -> Plan:
    return rollout(**section).plan(60)


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        (strategy("all_at_once"), (Step(100, 60),)),
        (strategy("canary"), (Step(10, 1),)),
        (strategy("linear"), (Step(25, 60), Step(50, 60), Step(75, 60))),
        (strategy("linear", step_percent=30), (Step(30, 60), Step(60, 60), Step(90, 60))),
        (
            strategy("steps", steps=[{**STEP, "approve": True}, {"weight": 50, "bake_seconds": 2}]),
            (Step(10, 1, approve=True), Step(50, 2)),
        ),
        (strategy("ab"), (Step(50, 0),)),
        (strategy("ab", seconds=3600), (Step(50, 3600),)),
        (strategy("shadow"), (Step(50, 60, shadow=True),)),
        (
            strategy("shadow", percent=100, approve=True, then=strategy("canary")),
            (Step(100, 60, shadow=True, approve=True), Step(10, 1)),
        ),
        (
            strategy("shadow", then=strategy("linear", step_percent=50)),
            (Step(50, 60, shadow=True), Step(50, 60)),
        ),
    ],
)
def test_strategy_becomes_the_steps_of_the_plan(given: dict[str, Any], steps: tuple[Step, ...]) -> None:
    assert plan(strategy=given, max_minutes=90).steps == steps


def test_defaults_prove_errors_watch_latency_and_nonsense_and_replay_before_any_traffic() -> None:
    made = plan()
    assert made.steps == (Step(10, 300), Step(50, 300))
    assert [(item.name, item.margin, item.prove) for item in made.metrics] == [
        ("errors", 0.02, True),
        ("latency_p99", 0.5, False),
        ("invalid_answers", 0.02, False),
    ]
    assert (made.alpha, made.min_requests, made.promote_when) == (0.05, 50, "not_worse")
    assert made.replay == ReplayGate(
        requests=100, max_errors=0, max_changed=0.2, max_latency_ratio=3, min_requests=20, on_too_few="wait"
    )
    assert (made.max_seconds, made.on_timeout, made.watch_seconds) == (3600, "roll_back", 3600)


def test_metrics_that_are_given_take_the_place_of_the_defaults() -> None:
    own = {"kind": "mean", "margin": 0.5, "namespace": "shop", "metric": "Revenue", "high": 100, "better": "higher"}
    made = plan(judge={"metrics": {"log_loss": {"margin": 0.05, "prove": True}, "revenue": own}})
    log_loss, revenue = made.metrics
    assert (log_loss.name, log_loss.kind, log_loss.margin, log_loss.prove) == ("log_loss", "mean", 0.05, True)
    assert (revenue.namespace, revenue.metric, revenue.high, revenue.better) == ("shop", "Revenue", 100, "higher")


def test_absolute_error_tolerates_a_tenth_of_its_range_unless_a_margin_is_given() -> None:
    given = ({"high": 60}, {"low": 20, "high": 60}, {"high": 60, "margin": 2})
    made = [plan(judge={"metrics": {"errors": {}, "absolute_error": item}}).metrics[1] for item in given]
    assert [(item.low, item.high, item.margin) for item in made] == [(0, 60, 6), (20, 60, 4), (0, 60, 2)]


def test_everything_of_the_judge_and_the_time_reaches_the_plan() -> None:
    judge = {"alpha": 0.01, "min_requests": 7, "promote_when": "better"}
    made = plan(judge=judge, max_minutes=30, on_timeout="hold", watch_minutes=5, metrics_timeout_minutes=4)
    assert (made.alpha, made.min_requests, made.promote_when) == (0.01, 7, "better")
    assert (made.max_seconds, made.on_timeout, made.watch_seconds, made.window_seconds) == (1800, "hold", 300, 60)
    assert (made.metrics_timeout_seconds, plan().metrics_timeout_seconds) == (240, 120)


def test_what_the_alarms_tolerate_of_failures_is_what_a_trial_tolerates_of_both_versions() -> None:
    assert rollout().plan(60).max_failed == 1
    assert rollout().plan(60, max_failed=0.05).max_failed == 0.05


def test_the_first_two_hundred_requests_of_each_instance_do_not_count_for_latencies() -> None:
    assert rollout().plan(60, instances=3).warm_up_requests == 600


def test_shadow_test_without_live_steps_is_replayed_nothing_by_default() -> None:
    assert plan(strategy=strategy("shadow")).replay is None
    assert plan(strategy=strategy("shadow", then=strategy("canary"))).replay is not None
    assert plan(strategy=strategy("shadow"), replay=None).replay is None


def test_guard_goes_back_by_the_alarms_and_knows_how_many_batches_the_instances_make() -> None:
    infrastructure = InfrastructureSettings(kind="rolling", percent=50, bake_seconds=300)
    assert infrastructure.guard(["a", "b"], 2) == Guard("rolling", 50, 300, ("a", "b"), 2400)
    assert infrastructure.guard(["a"], 3).max_seconds == 2700, "half of three is one at a time"
    assert rollout().plan(60).guard is None


@pytest.mark.parametrize("kind", list(GOOD))
def test_plan_survives_the_way_through_json_and_floats(kind: str) -> None:
    made = rollout(strategy=strategy(kind)).plan(60, Guard("canary", 50, 60, ("alarm",), 600))
    assert Plan.from_dict(json.loads(json.dumps(made.as_dict()))) == made


def test_trial_that_asks_a_person_says_so_wherever_the_approval_stands() -> None:
    approved = strategy("steps", steps=[{**STEP, "approve": True}])
    assert not rollout().asks
    assert rollout(strategy=approved).asks
    assert rollout(strategy=strategy("shadow", approve=True)).asks
    assert rollout(strategy=strategy("shadow", then=approved)).asks


def test_page_on_rollouts_shows_configs_that_are_right_and_the_defaults_that_there_are() -> None:
    page = (ROOT / "docs" / "how-to" / "release.md").read_text()
    shown = [yaml.safe_load(text) for text in re.findall(r"^\| `(\{kind: .+?\})` \|", page, re.MULTILINE)]
    assert {item["kind"] for item in shown} == set(GOOD)
    for item in shown:
        assert plan(strategy=item, max_minutes=20_160).steps
    defaults, *others = re.findall(r"^```yaml\n(.+?)^```", page, re.DOTALL | re.MULTILINE)
    assert RolloutSettings.model_validate(yaml.safe_load(defaults)) == RolloutSettings()
    for other in others:
        load(rollout=yaml.safe_load(other))


def test_windows_that_fit_are_not_refused() -> None:
    quick = {"strategy": strategy("linear", step_percent=20, bake_seconds=0), "max_minutes": 6.1}
    assert isinstance(load(rollout=quick), Settings)
    at_once = {"strategy": strategy("all_at_once", bake_seconds=0), "max_minutes": 1}
    assert load(rollout=at_once, monitoring={"period_seconds": 3600}), "no window is judged"
