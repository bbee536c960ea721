"""A team's own program, by `docs/how-to/extend-the-program.md`: its resources beside the library's, and in their place.

By the real engine on a real local cloud, judged by the policies: each test continues where the one before ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bench.bed import Bed, bed
from modelstack.cli.local.stack import Stack
from modelstack.cli.target import Target
from tests.e2e.conftest import FEW, QUICK, advance, having, journal, succeeded, with_config
from tests.e2e.test_own_model import copied
from tests.platforms.load import wait_for
from tests.process import ROOT
from tests.program.test_extended_program import BUCKET, EXTENDED, REPLACED, TEAM
from tests.small import SMALL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

PATIENCE = 400  # seconds for anything; loose, for the machine may be busy
LONG: dict[str, Any] = {**QUICK, "wait": False, "strategy": {"kind": "canary", "weight": 50, "bake_seconds": 500}}
"""A trial that an alarm ends."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """An empty local cloud and stack of a copy of this project."""
    with bed(copied(tmp_path_factory.mktemp("extended") / "project").root) as made:
        yield made


@pytest.fixture(scope="module")
def first(story: Bed) -> Stack:
    return having(story.stack.with_parameters(story.folder, **SMALL), QUICK, capture_percent=FEW)


def program(stack: Stack, **files: str) -> None:
    """Write the files of `infra/`."""
    for name, text in files.items():
        (stack.root / "infra" / f"{name}.py").write_text(text)


def up(stack: Stack) -> str:
    words = ("up", "--yes", "--skip-preview", "--stack", stack.name, *stack.options())
    return succeeded(stack.pulumi(*words)).output


def changes(stack: Stack) -> dict[str, int]:
    """What a preview would do: operation -> resources."""
    return json.loads(succeeded(stack.preview("--json")).output)["changeSummary"]


def answers(target: Target) -> bool:
    body = (ROOT / "model" / "example_request.json").read_bytes()
    runtime = target.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=target.endpoint, ContentType="application/json", Body=body)
    return answer["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_team_adds_resources_to_a_stack_and_changes_nothing_of_the_librarys(first: Stack, story: Bed) -> None:
    up(first)
    assert answers(story.target())
    before = changes(first)
    program(first, __main__=EXTENDED, team=TEAM)
    assert changes(first) == {**before, "create": 4}
    assert before.keys() == {"same"}
    up(first)
    succeeded(first.preview("--expect-no-changes"))
    listed = story.target().client("sns").list_subscriptions_by_topic(TopicArn=story.target().output("alerts_topic"))
    assert ("email", "models@example.com") in {(one["Protocol"], one["Endpoint"]) for one in listed["Subscriptions"]}


def test_a_rollout_honours_an_alarm_that_the_team_adds(first: Stack, story: Bed) -> None:
    up(having(first.with_parameters(story.folder, max_iter=6), LONG))
    target = story.target()

    def baking() -> bool:
        advance(target)
        return journal(target).step_started_at is not None

    wait_for(baking, PATIENCE, "the trial gets traffic")
    challenger = journal(target).challenger
    assert challenger is not None
    alarm = f"{target.endpoint}-{challenger.variant}-refusals"
    target.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="set by the test")
    wait_for(lambda: journal(target).at_rest, PATIENCE, "the rollback")
    verdict = journal(target).verdict
    assert verdict is not None
    assert (verdict.release, verdict.outcome, verdict.reason.name) == (challenger.id, "rolled_back", alarm)


def test_bucket_key_and_dashboard_of_another_stack_are_the_teams(first: Stack, story: Bed) -> None:
    own = replace(with_config(first, registry=BUCKET), name="local-own")
    succeeded(own.pulumi("stack", "init", own.name))
    program(own, __main__=REPLACED)
    up(own)
    outputs = own.outputs()
    assert outputs["artifact_bucket"] == BUCKET["bucket"]
    assert outputs["champion"] == outputs["package_digest"]
    target = Target(own.name, outputs["endpoint_name"], outputs["region"], outputs)
    assert answers(target)
    assert journal(target).champion is not None
    listed = target.client("s3").list_objects_v2(Bucket=BUCKET["bucket"], Prefix="packages/")
    assert any(item["Key"].endswith("/model.tar.gz") for item in listed["Contents"])
    assert not target.client("cloudwatch").list_dashboards(DashboardNamePrefix=target.endpoint)["DashboardEntries"]
    succeeded(own.preview("--expect-no-changes"))
