"""Trials of one stack: rolled back by a person, cleared, approved, undone, restored, broken, and ended by an alarm.

By the real engine on a real local cloud: each test continues where the one before ended. No test waits for a fixed
time: what a person does is done when the update's own output says that the moment has come.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import Result

from bench.bed import Bed, import_path
from modelstack.cli.local.stack import Stack
from modelstack.cli.replay import Report
from modelstack.cli.view.audit_records import proven
from modelstack.cli.view.snapshot import take
from modelstack.rollout.core.state import Phase
from tests.e2e.conftest import (
    PACKAGES,
    QUICK,
    Unpreviewed,
    advance,
    having,
    journal,
    package,
    said,
    shares,
    succeeded,
    typed,
)
from tests.needed import unused
from tests.platforms.aws.inbox import Inbox
from tests.platforms.load import wait_for
from tests.process import ROOT
from tests.program.recorded import LOCAL
from tests.small import SMALL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

PATIENCE = 400  # seconds for anything; loose, for the machine may be busy
SHORT: dict[str, Any] = {
    **QUICK, "infrastructure": {"kind": "canary", "percent": 50, "bake_seconds": 1}, "watch_minutes": 0
}  # fmt: skip
LONG: dict[str, Any] = {**SHORT, "strategy": {"kind": "canary", "weight": 50, "bake_seconds": 500}}
"""A trial that a person or an alarm ends."""
CAREFUL: dict[str, Any] = {
    **SHORT,
    "strategy": {
        "kind": "shadow",
        "percent": 100,
        "bake_seconds": 1,
        "then": {"kind": "steps", "steps": [{"weight": 50, "bake_seconds": 1, "approve": True}]},
    },
    "replay": {"requests": 40, "max_changed": 1, "max_latency_ratio": 1000},
}
"""Copies of requests first, then captured ones, then traffic until a person approves."""
BOOM = "the table of carriers is empty"


@pytest.fixture(scope="module")
def versions(story: Bed) -> list[Stack]:
    """Four versions of a small model."""
    first = having(story.stack.with_parameters(story.folder, **SMALL), SHORT)
    return [first.with_parameters(story.folder, max_iter=trees) for trees in (5, 6, 7, 8)]


@pytest.fixture(scope="module")
def inbox(story: Bed, versions: list[Stack]) -> Inbox:
    """What the stack's topic sends, from the first release on."""
    succeeded(versions[0].up())
    target = story.target()
    return Inbox(target.client, "trials", target.output("alerts_topic"))


@pytest.fixture(scope="module")
def broken(story: Bed, versions: list[Stack]) -> Stack:
    """The same stack from a checkout whose model starts when it is sealed, and raises in an endpoint."""
    root = story.folder / "checkout"
    for folder in (*PACKAGES, "requirements"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Pulumi.yaml", root)
    (root / ".venv").symlink_to(ROOT / ".venv")
    with (root / "model" / "serving.py").open("a") as code:
        code.write(f'\nimport os\nif "MODELSTACK_MODEL" in os.environ:\n    raise RuntimeError("{BOOM}")\n')
    return Unpreviewed("local", {**story.environment, "PYTHONPATH": import_path(root)}, root, versions[0].config)


def notified(inbox: Inbox, kind: str, rollout_id: str) -> None:
    """Wait for one notification of an event, and no second one."""
    wait_for(lambda: inbox.told(kind, rollout_id), PATIENCE, f"the notification {kind} of {rollout_id}")
    assert len(inbox.told(kind, rollout_id)) == 1


def explained() -> tuple[str, str]:
    """What `modelstack explain` says: the outcome and who decided."""
    answer = typed("explain", "--json")
    assert answer.exit_code == 0, answer.output
    explanation = json.loads(answer.stdout)
    return explanation["outcome"], explanation["source"]


def no_drift(stack: Stack) -> None:
    """`pulumi refresh` finds that the state says what is there."""
    succeeded(stack.pulumi("refresh", "--yes", "--expect-no-changes", "--stack", "local"))


class Once:
    """Does something at the first line of an update's output that holds a text."""

    def __init__(self, text: str, does: Callable[[], Any]) -> None:
        self._text, self._does = text, does
        self.done: list[Any] = []

    def __call__(self, line: str) -> None:
        if self._text in line and not self.done:
            self.done.append(self._does())


def test_a_person_rolls_a_trial_back_while_its_update_reports_it(
    story: Bed, versions: list[Stack], inbox: Inbox, traffic: Report
) -> None:
    before = story.stack.outputs()["champion"]

    def look_and_roll_back() -> tuple[Result, tuple[str, str], Result]:
        looked, running = typed("watch", "--json", "--for", "0.1"), explained()
        return looked, running, typed("rollback", "--yes", "--reason", "the price list was wrong")

    at_half = Once("gets 50%", look_and_roll_back)
    done = having(versions[1], LONG).up(on_line=at_half)

    ((looked, running, rolled_back),) = at_half.done
    seen = json.loads(looked.stdout.splitlines()[-1])
    assert (looked.exit_code, seen["phase"], running[0]) == (5, "baking", "running")
    assert {item["role"]: item["asked"] for item in seen["variants"]} == {"champion": 50, "challenger": 50}
    assert seen["trial"]["evidence"][0]["metric"] == "errors"
    assert rolled_back.exit_code == 0, rolled_back.output

    assert done.code != 0
    assert "rolled back: asked for by" in done.error
    assert "the price list was wrong" in done.error
    target = story.target()
    after, verdict = take(target), journal(target).verdict
    assert verdict is not None
    assert (after.champion_package, after.challenger, shares(after)) == (before, None, {"champion": 100.0})
    assert package(story, verdict.package_digest)["ModelApprovalStatus"] == "Rejected"
    assert explained() == ("rolled_back", "person")
    notified(inbox, "rolled_back", verdict.rollout_id)
    assert traffic.failures == []


def test_a_cleared_release_gets_copies_then_captured_requests_then_traffic_and_waits_for_a_person(
    story: Bed, versions: list[Stack], traffic: Report
) -> None:
    rejected = journal(story.target()).verdict
    assert rejected is not None
    cleared = typed("clear", rejected.release)
    assert cleared.exit_code == 0, cleared.output
    assert "may be tried again" in cleared.output
    before = story.stack.outputs()["champion"]
    done = succeeded(having(versions[1], CAREFUL).up())
    steps = ("gets copies of 100%", "was sent captured requests", "gets 50%", "waits for an approval")
    found = [done.output.find(text) for text in steps]
    assert -1 not in found
    assert found == sorted(found), "each is reported when it has happened"
    outputs = story.stack.outputs()
    assert (outputs["champion"], outputs["challenger"]) == (before, rejected.package_digest)
    assert shares(take(story.target())) == {"champion": 50.0, "challenger": 50.0}
    state = journal(story.target())
    assert (state.phase, state.step) == (Phase.PAUSED, 1)
    assert state.replayed is not None
    assert (state.replayed.requests, state.replayed.errors) == (40, 0)
    assert traffic.failures == []


def test_a_refresh_in_mid_trial_shows_no_drift_and_the_preview_says_what_is_waited_for(
    story: Bed, versions: list[Stack]
) -> None:
    no_drift(story.stack)
    assert "needs a person's approval" in said(having(versions[1], CAREFUL).preview("--json"))
    assert shares(take(story.target())) == {"champion": 50.0, "challenger": 50.0}


def test_an_approval_lets_the_next_update_end_with_the_promotion(
    story: Bed, versions: list[Stack], inbox: Inbox, traffic: Report
) -> None:
    challenger = story.stack.outputs()["challenger"]
    approved = typed("approve", "--reason", "the copies looked well")
    assert approved.exit_code == 0, approved.output
    careful = having(versions[1], CAREFUL)
    succeeded(careful.up())
    outputs, verdict = story.stack.outputs(), journal(story.target()).verdict
    assert verdict is not None
    assert (outputs["champion"], outputs["challenger"]) == (challenger, None)
    assert package(story, challenger)["ModelApprovalStatus"] == "Approved"
    assert shares(take(story.target())) == {"champion": 100.0}
    notified(inbox, "promoted", verdict.rollout_id)
    assert traffic.failures == []
    succeeded(careful.preview("--expect-no-changes"))


def test_a_person_brings_the_previous_champion_back_and_the_next_update_would_not_undo_it(
    story: Bed, versions: list[Stack], inbox: Inbox, traffic: Report
) -> None:
    target = story.target()
    before = journal(target)
    assert before.champion is not None
    assert before.previous is not None
    undone = typed("rollback", "--previous", "--yes", "--reason", "it sells less", "--json")
    assert undone.exit_code == 0, undone.output
    assert json.loads(undone.stdout)["release"] == before.champion.id
    previewed = said(having(versions[1], SHORT).preview("--json"))
    assert f"release {before.champion.id} was rolled back and is not tried again" in previewed
    after = journal(target)
    assert (after.champion, after.challenger, after.rollout_id) == (before.previous, None, before.rollout_id)
    assert package(story, before.champion.package_digest)["ModelApprovalStatus"] == "Rejected"
    assert shares(take(target)) == {"champion": 100.0}
    assert explained() == ("rolled_back", "person")
    notified(inbox, "rolled_back", before.rollout_id)
    assert traffic.failures == []


def test_a_release_that_raises_on_import_is_rejected_with_its_last_words_and_the_champion_still_serves(
    story: Bed, broken: Stack, traffic: Report
) -> None:
    champion = journal(story.target()).champion
    done = broken.up()
    assert done.code != 0
    assert "Traceback" not in done.output
    assert "rolled back: release" in done.error
    assert "did not pass the ping health check" in done.error
    assert f"the model's code failed: RuntimeError: {BOOM}. `modelstack explain` shows" in done.error
    seen = take(story.target())
    assert champion is not None
    assert (seen.champion, seen.challenger, shares(seen)) == (champion.id, None, {"champion": 100.0})
    assert story.stack.outputs()["champion"] == champion.package_digest
    assert seen.verdict is not None
    assert (seen.verdict["outcome"], seen.verdict["source"]) == ("rolled_back", "endpoint")
    rejected = package(story, seen.verdict["package_digest"])
    assert rejected["ModelApprovalStatus"] == "Rejected"
    assert rejected["ApprovalDescription"].endswith(BOOM)
    assert traffic.failures == []


def test_a_release_that_served_before_is_restored_through_a_trial(
    story: Bed, versions: list[Stack], traffic: Report
) -> None:
    target = story.target()
    before = journal(target)
    promoted = {one.what["release"]: one.time for one in proven(target) if one.kind == "promotion"}
    (rejected,) = [one for one in before.rejected.values() if one.release in promoted]
    served, digest = promoted[rejected.release], rejected.package_digest

    refused = typed("restore", "--at", served, "--reason", "it sold more", "--yes")
    assert (refused.exit_code, "stays rejected" in refused.stderr) == (1, True), refused.output
    words = ("restore", "--at", digest, "--reason", "it sold more", "--yes", "--although-rejected")
    done = typed(*words)
    assert done.exit_code == 0, done.output
    assert f"release {rejected.release} served from {served[:10]} {served[11:16]} UTC (" in done.stdout
    assert journal(target).champion == before.champion, "nothing has moved yet"

    updated = succeeded(versions[3].up())
    assert f"release {rejected.release} is restored" in updated.output
    assert "it sold more" in updated.output
    state = journal(target)
    assert state.champion is not None
    assert state.verdict is not None
    assert (state.champion.id, state.champion.package_digest) == (rejected.release, digest)
    assert (state.verdict.outcome, state.verdict.reason.source) == ("promoted", "judge"), "by a trial as any other"
    assert story.stack.outputs()["champion"] == digest
    assert package(story, digest)["ModelApprovalStatus"] == "Approved"
    assert traffic.failures == []

    lifted = typed("restore", "--clear", "--reason", "the newest is fixed", "--yes")
    assert lifted.exit_code == 0, lifted.output
    assert [one.what["event"] for one in proven(target) if one.kind == "restore"][-2:] == ["restore", "restore_lifted"]
    assert journal(target).restored is None


def test_other_instances_are_moved_under_guard_and_nothing_is_lost(
    story: Bed, versions: list[Stack], traffic: Report
) -> None:
    before, larger = story.stack.outputs()["champion"], having(versions[1], SHORT, instance_count=2)
    succeeded(larger.up())
    target = story.target()
    described = target.client("sagemaker").describe_endpoint(EndpointName=target.endpoint)
    (variant,) = described["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], described["EndpointStatus"]) == (2, "InService")
    assert described["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    alarms = [item["AlarmName"] for item in described["LastDeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]]
    assert alarms == [f"flight-delay-local-{variant['VariantName']}-{measure}" for measure in ("5xx", "p99")]
    succeeded(story.stack.pulumi("refresh", "--yes", "--stack", "local"))
    succeeded(larger.preview("--expect-no-changes"))
    assert story.stack.outputs()["champion"] == before
    assert traffic.failures == []


def test_functions_alone_replay_advance_and_end_a_trial_by_an_alarm(
    story: Bed, versions: list[Stack], traffic: Report
) -> None:
    waiting: dict[str, Any] = {**LONG, "replay": CAREFUL["replay"], "wait": False}
    succeeded(having(versions[2], waiting).up())
    target = story.target()

    def baking() -> bool:
        advance(target)
        return journal(target).step_started_at is not None

    wait_for(baking, PATIENCE, "the trial gets traffic")
    state = journal(target)
    assert state.challenger is not None
    assert state.replayed is not None
    assert (state.replayed.requests, state.replayed.errors) == (40, 0)
    assert traffic.failures == []
    target.client("cloudwatch").set_alarm_state(
        AlarmName=f"{target.endpoint}-{state.challenger.variant}-5xx", StateValue="ALARM", StateReason="set by the test"
    )
    wait_for(lambda: journal(target).at_rest, PATIENCE, "the rollback")
    verdict = journal(target).verdict
    assert verdict is not None
    assert (verdict.release, verdict.outcome) == (state.challenger.id, "rolled_back")
    assert package(story, state.challenger.package_digest)["ModelApprovalStatus"] == "Rejected"


def test_the_roles_have_used_what_this_story_shows_to_be_needed(story: Bed) -> None:
    target = story.target()
    assert not unused("test_trials_story", story.cloud, LOCAL)
    probes = {"MetricName": "ProbeSuccess", "Dimensions": [{"Name": "EndpointName", "Value": target.endpoint}]}
    found = target.client("cloudwatch").get_metric_statistics(
        Namespace="modelstack", **probes, StartTime=target.created, EndTime=datetime.now(UTC), Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]  # fmt: skip
    assert max(point["Maximum"] for point in found) == 1
