"""Releases that somebody thinks again about: taken back, cleared, overtaken by a newer one, moved to other instances.

By the real engine on a real local cloud: each test goes on where the one before ended. Nothing here waits for a time:
what a person does is done when the update's own output says that the moment has come.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import Result

from bench.bed import Bed
from cli.local.stack import Done, Stack
from cli.replay import Report
from cli.view.records import proven
from cli.view.snapshot import take
from localcloud.testing import faults
from rollout.controller.notice import release_of
from rollout.core.state import Phase
from tests.e2e.conftest import FEW, QUICK, having, journal, package, said, shares, succeeded, typed
from tests.platforms.aws.inbox import Inbox
from tests.platforms.load import wait_for
from tests.small import SMALL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

PATIENCE = 400  # seconds for anything; loose, for the machine may be busy
SHORT: dict[str, Any] = {
    **QUICK, "infrastructure": {"kind": "canary", "percent": 50, "bake_seconds": 600}, "watch_minutes": 0
}  # fmt: skip
LONG: dict[str, Any] = {**SHORT, "strategy": {"kind": "canary", "weight": 50, "bake_seconds": 500}}
"""A trial that nobody sees the end of: a person or a newer release ends it."""


@pytest.fixture(scope="module")
def versions(story: Bed) -> list[Stack]:
    """Four versions of a small model."""
    first = having(story.stack.with_parameters(story.folder, **SMALL), SHORT, capture_percent=FEW)
    return [first.with_parameters(story.folder, max_iter=trees) for trees in (5, 6, 7, 8)]


@pytest.fixture(scope="module")
def inbox(story: Bed, versions: list[Stack]) -> Inbox:
    """What the stack's topic sends, from the first release on."""
    succeeded(having(versions[0], SHORT).up())
    target = story.target()
    return Inbox(target.client, "second-thoughts", target.output("alerts_topic"))


def told(inbox: Inbox, kind: str, rollout_id: str) -> None:
    """Wait for one notification of an event, and no second one."""
    wait_for(lambda: inbox.told(kind, rollout_id), PATIENCE, f"the notification {kind} of {rollout_id}")
    assert len(inbox.told(kind, rollout_id)) == 1


def explained(*words: str) -> tuple[str, str]:
    """What `modelstack explain` says: the outcome and who decided."""
    answer = typed("explain", "--json", *words)
    assert answer.exit_code == 0, answer.output
    story = json.loads(answer.stdout)
    return story["outcome"], story["source"]


def unchanged(previewed: Done) -> Done:
    """A `preview --json` that has nothing to change; what it would, when it has."""
    steps = json.loads(succeeded(previewed).output)["steps"]
    assert [step["urn"] for step in steps if step["op"] != "same"] == []
    return previewed


def no_drift(stack: Stack) -> None:
    """`pulumi refresh` finds that the state says what is there."""
    succeeded(stack.pulumi("refresh", "--yes", "--expect-no-changes", "--stack", "local"))


def declared(stack: Stack, name: str) -> bool:
    """Whether the state has a resource of this id."""
    exported = json.loads(succeeded(stack.pulumi("stack", "export", "--stack", "local")).output)
    return any(item.get("id") == name for item in exported["deployment"]["resources"])


class Once:
    """Does something at the first line of an update's output that holds a text."""

    def __init__(self, text: str, does: Callable[[], Any]) -> None:
        self._text, self._does = text, does
        self.done: list[Any] = []

    def __call__(self, line: str) -> None:
        if self._text in line and not self.done:
            self.done.append(self._does())


def test_an_update_says_what_it_does_while_a_person_takes_its_trial_back(
    story: Bed, versions: list[Stack], inbox: Inbox, traffic: Report
) -> None:
    before = story.stack.outputs()["champion"]

    def look_and_take_back() -> tuple[Result, tuple[str, str], Result]:
        looked, running = typed("watch", "--json", "--for", "0.1"), explained()
        return looked, running, typed("rollback", "--yes", "--reason", "the price list was wrong")

    at_half = Once("gets 50%", look_and_take_back)
    done = having(versions[1], LONG).up(on_line=at_half)

    ((looked, running, taken_back),) = at_half.done
    seen = json.loads(looked.stdout.splitlines()[-1])
    assert (looked.exit_code, seen["phase"], running[0]) == (5, "baking", "running")
    assert {item["role"]: item["asked"] for item in seen["variants"]} == {"champion": 50, "challenger": 50}
    assert seen["trial"]["evidence"][0]["metric"] == "errors"
    assert taken_back.exit_code == 0, taken_back.output

    assert done.code != 0
    assert "rolled back: asked for by" in done.error
    assert "the price list was wrong" in done.error
    target = story.target()
    after, verdict = take(target), journal(target).verdict
    assert verdict is not None
    assert (after.champion_package, after.challenger, shares(after)) == (before, None, {"champion": 100.0})
    assert package(story, verdict.package_digest)["ModelApprovalStatus"] == "Rejected"
    assert explained() == ("rolled_back", "person")
    told(inbox, "rolled_back", verdict.rollout_id)
    assert traffic.failures == []


def test_after_a_rolled_back_update_there_is_no_drift_and_nothing_to_change(story: Bed, versions: list[Stack]) -> None:
    no_drift(story.stack)
    previewed = unchanged(having(versions[1], LONG).preview("--json"))
    assert "is not tried again" in said(previewed)


def test_a_release_that_was_cleared_is_tried_again(
    story: Bed, versions: list[Stack], inbox: Inbox, traffic: Report
) -> None:
    target = story.target()
    rejected = journal(target).verdict
    assert rejected is not None
    cleared = typed("clear", rejected.release)
    assert cleared.exit_code == 0, cleared.output
    assert "may be tried again" in cleared.output
    succeeded(having(versions[1], SHORT).up())

    outputs, verdict = story.stack.outputs(), journal(target).verdict
    assert verdict is not None
    assert (verdict.release, verdict.outcome, verdict.reason.source) == (rejected.release, "promoted", "judge")
    assert outputs["champion"] == rejected.package_digest
    assert package(story, outputs["champion"])["ModelApprovalStatus"] == "Approved"
    assert shares(take(target)) == {"champion": 100.0}
    assert explained() == ("promoted", "judge")
    told(inbox, "promoted", verdict.rollout_id)
    assert traffic.failures == []


def test_a_person_brings_the_champion_before_back_and_the_next_updates_keep_it(
    story: Bed, versions: list[Stack], inbox: Inbox, traffic: Report
) -> None:
    target = story.target()
    before = journal(target)
    assert before.champion is not None
    assert before.previous is not None
    asked = typed("rollback", "--previous", "--yes", "--reason", "it sells less", "--json")
    assert asked.exit_code == 0, asked.output
    assert json.loads(asked.stdout)["release"] == before.champion.id

    again = having(versions[1], SHORT)
    assert f"release {before.champion.id} was rolled back and is not tried again" in said(again.preview("--json"))
    succeeded(again.up())
    after, outputs = journal(target), story.stack.outputs()
    assert (after.champion, after.challenger, after.rollout_id) == (before.previous, None, before.rollout_id)
    assert (outputs["champion"], outputs["challenger"]) == (before.previous.package_digest, None)
    assert package(story, before.champion.package_digest)["ModelApprovalStatus"] == "Rejected"
    assert shares(take(target)) == {"champion": 100.0}
    assert explained() == ("rolled_back", "person")
    told(inbox, "rolled_back", before.rollout_id)
    assert traffic.failures == []
    unchanged(again.preview("--json"))


def test_in_mid_trial_there_is_no_drift_and_nothing_to_change(story: Bed, versions: list[Stack], inbox: Inbox) -> None:
    waiting = having(versions[2], {**LONG, "wait": False})
    succeeded(waiting.up())
    target = story.target()

    def baking() -> bool:
        """Nobody but the scheduled function goes on with it."""
        answer = target.client("lambda").invoke(FunctionName=f"{target.endpoint}-advance")
        assert "FunctionError" not in answer, answer["Payload"].read()
        return journal(target).step_started_at is not None

    wait_for(baking, PATIENCE, "the trial")
    assert journal(target).phase is Phase.BAKING
    no_drift(story.stack)
    unchanged(waiting.preview("--json"))
    assert shares(take(target)) == {"champion": 50.0, "challenger": 50.0}
    rollout_id = journal(target).rollout_id
    wait_for(lambda: inbox.told("weights", rollout_id), PATIENCE, "that the challenger gets traffic is told")


def test_a_newer_release_takes_the_trial_over_from_its_start(
    story: Bed, versions: list[Stack], inbox: Inbox, traffic: Report
) -> None:
    target = story.target()
    older = journal(target)
    assert older.challenger is not None
    succeeded(having(versions[3], SHORT).up())

    state, outputs = journal(target), story.stack.outputs()
    assert state.verdict is not None
    assert (state.verdict.outcome, state.verdict.reason.source) == ("promoted", "judge")
    assert outputs["champion"] == outputs["package_digest"] == state.verdict.package_digest
    kinds = [event.kind for event in state.history if event.rollout_id == state.rollout_id]
    assert kinds == ["preparing", "weights", "promoting", "promoted"]
    assert package(story, older.challenger.package_digest)["ModelApprovalStatus"] == "PendingManualApproval"
    assert package(story, outputs["champion"])["ModelApprovalStatus"] == "Approved"
    assert shares(take(target)) == {"champion": 100.0}
    told(inbox, "superseded", older.rollout_id)
    told(inbox, "promoted", state.rollout_id)
    assert explained(older.rollout_id)[0] == "superseded"
    assert traffic.failures == []

    live = target.client("sagemaker").describe_endpoint(EndpointName=target.endpoint)["EndpointConfigName"]
    assert declared(story.stack, live)


def test_the_update_after_it_deletes_what_the_superseded_release_left_and_nothing_that_serves(
    story: Bed, versions: list[Stack], traffic: Report
) -> None:
    target, same = story.target(), having(versions[3], SHORT)
    state = journal(target)
    (superseded,) = [event.rollout_id for event in state.history if event.kind == "superseded"]
    steps = json.loads(succeeded(same.preview("--json")).output)["steps"]
    changes = [step for step in steps if step["op"] != "same"]
    assert {step["op"] for step in changes} == {"delete", "update"}
    updated = [step["urn"].rpartition("::")[2] for step in changes if step["op"] == "update"]
    counting = ("burn-", "slo-ticket")
    assert all(name.startswith(counting) for name in updated), "alarms of all versions together count it no more"
    deleted = {step["oldState"]["id"] for step in changes if step["op"] == "delete"}
    variants = [release.variant for release in state.releases()]
    assert f"v-{release_of(superseded)}" not in variants
    assert any(f"v-{release_of(superseded)}" in name for name in deleted), "its alarms"
    assert not deleted & {*state.configs(), *(release.model_name for release in state.releases())}
    assert [name for name in deleted if any(variant in name for variant in variants)] == []

    succeeded(same.up())
    assert shares(take(target)) == {"champion": 100.0}
    assert traffic.failures == []
    unchanged(same.preview("--json"))


def test_a_release_that_served_before_is_restored_through_a_trial_and_the_checkout_does_not_undo_it(
    story: Bed, versions: list[Stack], traffic: Report
) -> None:
    target, newest = story.target(), having(versions[3], SHORT)
    before = journal(target)
    (rejected,) = before.rejected.values()
    promotions = [one for one in proven(target) if one.kind == "promotion"]
    (served,) = [one.time for one in promotions if one.what["release"] == rejected.release]

    refused = typed("restore", "--at", served, "--reason", "it sold more", "--yes")
    assert (refused.exit_code, "stays rejected" in refused.stderr) == (1, True), refused.output
    asked = ("restore", "--at", rejected.package_digest, "--reason", "it sold more", "--yes", "--although-rejected")
    done = typed(*asked)
    assert done.exit_code == 0, done.output
    assert f"release {rejected.release} served from {served}" in done.stdout
    assert journal(target).champion == before.champion, "nothing has moved yet"

    updated = succeeded(newest.up())
    assert f"release {rejected.release} is restored" in updated.output
    assert "it sold more" in updated.output
    state = journal(target)
    assert state.champion is not None
    assert state.verdict is not None
    assert (state.champion.id, state.champion.package_digest) == (rejected.release, rejected.package_digest)
    assert (state.verdict.outcome, state.verdict.reason.source) == ("promoted", "judge"), "by a trial as any other"
    assert story.stack.outputs()["champion"] == rejected.package_digest
    assert package(story, rejected.package_digest)["ModelApprovalStatus"] == "Approved"
    assert shares(take(target)) == {"champion": 100.0}
    assert traffic.failures == []

    previewed = unchanged_but_for_what_is_left(newest.preview("--json"))
    assert 'restore --clear --reason "..."' in said(previewed)
    lifted = typed("restore", "--clear", "--reason", "the newest is mended", "--yes")
    assert lifted.exit_code == 0, lifted.output
    assert [one.what["event"] for one in proven(target) if one.kind == "restore"][-2:] == ["restore", "restore_lifted"]
    assert journal(target).restored is None


def unchanged_but_for_what_is_left(previewed: Done) -> Done:
    """A `preview --json` that releases nothing; it may delete what an earlier trial has left."""
    steps = json.loads(succeeded(previewed).output)["steps"]
    changed = [step for step in steps if step["op"] not in {"same", "delete"}]
    assert [step["urn"] for step in changed if step["urn"].rpartition("::")[2] in {"package", "rollout"}] == []
    return previewed


@contextmanager
def failing_while_moved(story: Bed) -> Generator[list[float]]:
    """Let half of the endpoint's answers fail from when it moves to other instances until it goes back.

    Yields until when they did, monotonic seconds, once it is known.
    """
    target = story.target()
    sagemaker = target.client("sagemaker")
    failed: list[float] = []

    def both_fleets_serve() -> bool:
        pending = sagemaker.describe_endpoint(EndpointName=target.endpoint).get("PendingDeploymentSummary", {})
        stages = [item["Status"] for one in pending.get("ProductionVariants", []) for item in one["VariantStatus"]]
        return "Baking" in stages

    def disturb() -> None:
        wait_for(both_fleets_serve, PATIENCE, "the canary of the other instances")
        fault = {"endpoint": target.endpoint, "variant": "*", "effect": "error", "status": 500, "share": 0.5}
        faults(story.cloud, "POST", fault)
        wait_for(lambda: not both_fleets_serve(), PATIENCE, "the way back")
        faults(story.cloud, "DELETE")
        failed.append(time.monotonic())

    thread = threading.Thread(target=disturb, daemon=True)
    thread.start()
    yield failed
    thread.join(2 * PATIENCE)


def test_an_alarm_turns_other_instances_back(story: Bed, versions: list[Stack], inbox: Inbox, traffic: Report) -> None:
    target = story.target()
    before, looked = journal(target), take(target)
    assert before.champion is not None
    with failing_while_moved(story) as failed:
        done = having(versions[1], SHORT, instance_type="ml.m5.xlarge").up()
    assert done.code != 0
    assert "Traceback" not in done.output
    assert "the champion did not move to other instances, and serves: " in done.error
    assert f"{before.champion.variant}-5xx" in done.error

    seen = take(target)
    assert (seen.champion, seen.challenger, shares(seen)) == (before.champion.id, None, {"champion": 100.0})
    described = target.client("sagemaker").describe_endpoint(EndpointName=target.endpoint)
    assert (described["EndpointConfigName"], described["EndpointStatus"]) == (before.champion.config_name, "InService")
    assert package(story, before.champion.package_digest)["ModelApprovalStatus"] == "Approved"
    after = journal(target)
    assert after.moved is not None
    assert after.moved.outcome in {"withdrawn", "failed"}  # the alarm tells the rollback function and SageMaker
    assert (after.verdict, seen.verdict) == (before.verdict, looked.verdict), "the last verdict is the release's"
    assert explained()[0] == after.moved.outcome
    told(inbox, after.moved.outcome, after.moved.rollout_id)
    (ended,) = failed
    assert {failure.answer for failure in traffic.failures} == {"500"}
    assert all(failure.at <= ended for failure in traffic.failures)
