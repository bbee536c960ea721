"""A trial that copies requests first, replays captured ones, and waits for a person; then other instances.

By the real engine on a real local cloud: each test goes on where the one before ended.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from bench.bed import Bed
from cli.local.stack import Stack
from cli.main import main as modelstack
from cli.replay import Report
from cli.target import Target
from cli.view.snapshot import take
from platforms.aws.endpoint import controller
from rollout.core.state import Phase, RolloutState
from tests.e2e.conftest import package, said, shares, succeeded
from tests.infra.recorded import LOCAL
from tests.needed import unused
from tests.small import SMALL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

ROLLOUT: dict[str, Any] = {
    "wait": True,
    "strategy": {
        "kind": "shadow",
        "percent": 100,
        "bake_seconds": 1,
        "then": {"kind": "steps", "steps": [{"weight": 50, "bake_seconds": 1, "approve": True}]},
    },
    "judge": {"min_requests": 10, "metrics": {"errors": {"margin": 0.3}}},
    "replay": {"requests": 40, "max_changed": 1, "max_latency_ratio": 1000},
    "infrastructure": {"kind": "canary", "percent": 50, "bake_seconds": 1},
    "max_minutes": 10,
}


def having(stack: Stack, rollout: dict[str, Any] = ROLLOUT, **serving: int) -> Stack:
    """The stack with the strategy of this story, or another, and other instances."""
    assert stack.config is not None
    content = yaml.safe_load(stack.config.read_text())
    content["config"]["modelstack:rollout"] = rollout
    content["config"]["modelstack:serving"] |= serving
    path = stack.config.with_name(f"{stack.config.stem}-{len(serving)}.yaml")
    path.write_text(yaml.safe_dump(content))
    return replace(stack, config=path)


@pytest.fixture(scope="module")
def first(story: Bed) -> Stack:
    """A small model."""
    return having(story.stack.with_parameters(story.folder, **SMALL))


@pytest.fixture(scope="module")
def second(story: Bed, first: Stack) -> Stack:
    """Another one."""
    return having(first.with_parameters(story.folder, max_iter=6))


def journal(target: Target) -> RolloutState:
    """What the journal says."""
    return controller(target.endpoint, target.output("journal_table"), target.region).status().state


def test_the_first_release_serves_at_once_whatever_the_strategy(story: Bed, first: Stack) -> None:
    succeeded(first.up())
    assert shares(take(story.target())) == {"champion": 100.0}


def test_a_challenger_gets_copies_then_captured_requests_then_traffic_and_waits_for_a_person(
    story: Bed, second: Stack, traffic: Report
) -> None:
    before = story.stack.outputs()["champion"]
    done = succeeded(second.up())
    told = [
        done.output.find(text)
        for text in ("gets copies of 100%", "was sent captured requests", "gets 50%", "waits for an approval")
    ]
    assert -1 not in told
    assert told == sorted(told), "each is told when it has happened"
    assert "0 errors" in done.output
    outputs = story.stack.outputs()
    assert outputs["champion"] == before
    assert outputs["challenger"] not in {None, before}
    assert shares(take(story.target())) == {"champion": 50.0, "challenger": 50.0}

    state = journal(story.target())
    assert (state.phase, state.step) == (Phase.PAUSED, 1)
    assert state.replayed is not None
    assert (state.replayed.requests, state.replayed.errors) == (40, 0)
    assert traffic.failures == []


def test_a_refresh_in_mid_rollout_shows_no_drift_and_the_preview_says_what_is_waited_for(
    story: Bed, second: Stack
) -> None:
    succeeded(story.stack.pulumi("refresh", "--yes", "--expect-no-changes", "--stack", "local"))
    assert "needs a person's approval" in said(second.preview("--json"))
    assert shares(take(story.target())) == {"champion": 50.0, "challenger": 50.0}


def test_an_approval_lets_the_next_update_end_with_the_promotion(story: Bed, second: Stack, traffic: Report) -> None:
    target, challenger = story.target(), story.stack.outputs()["challenger"]
    said_so = CliRunner().invoke(modelstack, ["approve", "--reason", "the copies looked well"])
    assert said_so.exit_code == 0, said_so.output
    succeeded(second.up())
    outputs = story.stack.outputs()
    assert (outputs["champion"], outputs["challenger"]) == (challenger, None)
    assert package(story, challenger)["ModelApprovalStatus"] == "Approved"
    assert shares(take(target)) == {"champion": 100.0}
    assert traffic.failures == []
    succeeded(second.preview("--expect-no-changes"))


def test_other_instances_are_moved_under_guard_and_nothing_is_lost(story: Bed, second: Stack, traffic: Report) -> None:
    before = story.stack.outputs()["champion"]
    succeeded(having(second, instance_count=2).up())
    target = story.target()
    described = target.client("sagemaker").describe_endpoint(EndpointName=target.endpoint)
    (variant,) = described["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], described["EndpointStatus"]) == (2, "InService")
    assert described["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    alarms = [item["AlarmName"] for item in described["LastDeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]]
    assert alarms == [f"flight-delay-local-{variant['VariantName']}-{measure}" for measure in ("5xx", "p99")]
    assert story.stack.outputs()["champion"] == before
    assert traffic.failures == []
    succeeded(having(second, instance_count=2).preview("--expect-no-changes"))


def test_the_scheduled_function_may_do_all_that_a_replay_needs(story: Bed, second: Stack, traffic: Report) -> None:
    canary = {"kind": "canary", "weight": 50, "bake_seconds": 300}
    third = having(second.with_parameters(story.folder, max_iter=7), {**ROLLOUT, "wait": False, "strategy": canary})
    succeeded(third.up())
    target = story.target()
    until = time.monotonic() + 400
    while journal(target).replayed is None and time.monotonic() < until:  # nobody but the function goes on
        answer = target.client("lambda").invoke(FunctionName=f"{target.endpoint}-advance")
        assert "FunctionError" not in answer, answer["Payload"].read()
    replayed = journal(target).replayed
    assert replayed is not None
    assert (replayed.requests, replayed.errors) == (40, 0)
    assert traffic.failures == []


def test_an_alarm_ends_a_trial_that_functions_alone_carry_on(story: Bed) -> None:
    target = story.target()
    challenger = journal(target).challenger
    assert challenger is not None
    target.client("cloudwatch").set_alarm_state(
        AlarmName=f"{target.endpoint}-{challenger.variant}-5xx", StateValue="ALARM", StateReason="set by the test"
    )
    until = time.monotonic() + 400
    while not (state := journal(target)).at_rest and time.monotonic() < until:
        time.sleep(0.5)
    assert state.verdict is not None
    assert (state.verdict.release, state.verdict.outcome) == (challenger.id, "rolled_back")
    assert package(story, challenger.package_digest)["ModelApprovalStatus"] == "Rejected"


def test_the_roles_have_used_what_this_story_shows_to_be_needed(story: Bed) -> None:
    target = story.target()
    answer = target.client("lambda").invoke(FunctionName=f"{target.endpoint}-probe")
    assert json.loads(answer["Payload"].read())["ok"]
    assert not unused("test_strategies_story", story.cloud, LOCAL)
