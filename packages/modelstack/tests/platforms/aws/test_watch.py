"""What the advance function checks: the endpoint, by a probe
(`packages/modelstack/tests/services/test_probe.py`), and the functions.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from modelstack.monitoring.captured import PROBED
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.functions import SCHEDULED, missing
from modelstack.platforms.aws.handlers import watch
from modelstack.platforms.aws.handlers.settings import HandlerSettings
from modelstack.platforms.aws.journal import copied_journal
from modelstack.rollout.core.release import Release
from modelstack.services import probe
from modelstack.services.sealed_packages import DigestMismatch, member_uri
from tests.platforms.aws.mocked import journal_table, mocked_aws
from tests.platforms.aws.sealing import put, sealed_release

SAMPLE = b'{"instances":[{"x":1.5}]}'
BUCKET = "artifacts"
TOPIC = "arn:aws:sns:us-east-1:123456789012:endpoint-alerts"
PROBE, FUNCTIONS = 2 * 60.0, 5 * 60.0  # moments at which the one is due and the other is not


class World:
    """A champion's package in the bucket, an endpoint, and what was counted."""

    def __init__(self, clients: Clients) -> None:
        self.runtime, self.clients = Mock(), clients
        self.runtime.invoke_endpoint.side_effect = lambda **_: {"Body": io.BytesIO(b'{"predictions":[{"p":0.5}]}')}

    @property
    def asked(self) -> list[Any]:
        """The requests."""
        return [call.kwargs for call in self.runtime.invoke_endpoint.mock_calls]

    def release(self, example: bytes) -> Release:
        """The champion's package holds this request."""
        champion = sealed_release("a", self.clients("s3"), BUCKET, {probe.SAMPLE: example})
        journal = copied_journal(self.clients, "rollouts", "endpoint")
        assert journal.write(replace(journal.read(), champion=champion))
        return champion

    def counted(self) -> dict[str, float]:
        """The sum of each metric of the endpoint."""
        cloudwatch = self.clients("cloudwatch")
        found: dict[str, float] = {}
        for item in cloudwatch.list_metrics(Namespace="modelstack")["Metrics"]:
            assert item["Dimensions"] == [{"Name": "EndpointName", "Value": "endpoint"}]
            points = cloudwatch.get_metric_statistics(
                **item, StartTime=0, EndTime=4_000_000_000, Period=3_999_999_960, Statistics=["Sum"]
            )
            found[item["MetricName"]] = sum(point["Sum"] for point in points["Datapoints"])
        return found


def check(now: float) -> None:
    watch.watch(HandlerSettings.from_environment(), now)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    environment = {"ENDPOINT_NAME": "endpoint", "JOURNAL_TABLE": "rollouts", "ARTIFACT_BUCKET": BUCKET}
    environment |= {"PROBE_MINUTES": "2", "ALERTS_TOPIC": TOPIC}
    with mocked_aws(monkeypatch, **environment) as real:
        made = World(real)
        monkeypatch.setattr(watch, "_clients", lambda: made.clients)
        monkeypatch.setattr(watch, "_once", lambda _: made.runtime)
        watch._member.cache_clear()
        journal_table(real)
        made.clients("s3").create_bucket(Bucket=BUCKET)
        yield made


def test_the_champions_own_sealed_request_is_asked_and_marked_as_a_probes(world: World) -> None:
    world.release(SAMPLE)
    check(PROBE)
    (asked,) = world.asked
    assert (asked["EndpointName"], asked["Body"]) == ("endpoint", SAMPLE)
    assert asked["InferenceId"].startswith(PROBED)
    assert asked["TargetVariant"] == "v-a"
    counted = world.counted()
    assert counted["ProbeSuccess"] == 1
    assert counted["ProbeLatency"] >= 0
    check(PROBE + 60)
    assert len(world.asked) == 1, "each second minute, as the settings say"


def test_before_the_first_release_nothing_is_asked_and_nothing_counted(world: World) -> None:
    check(PROBE)
    assert (world.asked, world.counted()) == ([], {})


def test_a_package_that_was_changed_is_not_asked_from(world: World) -> None:
    champion = world.release(SAMPLE)
    put(world.clients("s3"), member_uri(champion.archive_uri, probe.SAMPLE), b"{}")
    with pytest.raises(DigestMismatch):
        check(PROBE)
    assert (world.asked, world.counted()) == ([], {}), "no probe is missing data, which fires too"


def test_a_new_champions_request_is_asked_after_a_promotion(world: World) -> None:
    for content in (SAMPLE, b'{"instances":[{"y":"b"}]}'):
        world.release(content)
        check(PROBE)
        assert world.asked[-1]["Body"] == content


class Stack:
    """The functions, schedules and subscribers of a stack, as Lambda, Scheduler and SNS report them."""

    def __init__(self, *scheduled: str) -> None:
        self.functions = {f"endpoint-{one}" for one in ("rollback", *scheduled)}
        self.schedules = {f"endpoint-{one}": "ENABLED" for one in scheduled}
        self.subscribers = ["ada@example.com", "arn:aws:lambda:us-east-1:123456789012:function:endpoint-rollback"]
        self.variables = {SCHEDULED: ",".join(scheduled)}

    def __call__(self, _service: str) -> Stack:
        return self

    def get_function_configuration(self, *, FunctionName: str) -> dict[str, Any]:
        self._exists(FunctionName in self.functions)
        return {"Environment": {"Variables": self.variables}}

    def get_schedule(self, *, Name: str) -> dict[str, Any]:
        self._exists(Name in self.schedules)
        return {"State": self.schedules[Name]}

    def get_paginator(self, operation: str) -> Stack:
        assert operation == "list_subscriptions_by_topic"
        return self

    def paginate(self, *, TopicArn: str) -> Iterator[dict[str, Any]]:
        assert TopicArn == TOPIC
        for one in self.subscribers:
            yield {"Subscriptions": [{"Endpoint": one}]}

    def _exists(self, does: bool) -> None:
        if not does:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "Get")


def test_what_runs_the_functions_is_named_when_it_is_deleted_or_disabled() -> None:
    stack = Stack("advance", "drift", "labels", "retrain")
    assert missing(stack, "endpoint", TOPIC) == ()
    stack.functions -= {"endpoint-rollback", "endpoint-retrain"}
    stack.schedules["endpoint-drift"] = "DISABLED"
    del stack.schedules["endpoint-labels"]
    stack.subscribers.pop()
    assert missing(stack, "endpoint", TOPIC) == (
        "function endpoint-rollback is deleted",
        "function endpoint-retrain is deleted",
        "schedule endpoint-drift is disabled",
        "schedule endpoint-labels is deleted",
        "the subscription of endpoint-rollback to the alarms is deleted",
    )


def test_without_the_advance_function_the_functions_of_every_stack_are_looked_for() -> None:
    stack = Stack("advance", "drift", "labels")
    stack.functions -= {"endpoint-advance", "endpoint-labels"}
    found = missing(stack, "endpoint", TOPIC)
    assert found == ("function endpoint-advance is deleted", "function endpoint-labels is deleted")


@pytest.mark.parametrize("again", [True, False], ids=["an update makes it", "it stays deleted"])
def test_a_missing_function_fails_the_call_unless_it_exists_a_minute_later(
    world: World, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    world.release(SAMPLE)
    stack, slept = Stack("advance", "drift", "labels"), list[float]()
    stack.functions.remove("endpoint-rollback")
    real = world.clients
    services = {"lambda", "scheduler", "sns"}
    monkeypatch.setattr(watch, "_clients", lambda: lambda name: stack if name in services else real(name))

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if again:
            stack.functions.add("endpoint-rollback")

    monkeypatch.setattr(watch.time, "sleep", sleep)
    check(PROBE)
    assert not slept, "it is not due in each minute"
    if again:
        check(FUNCTIONS)
    else:
        with pytest.raises(watch.NotRunning, match=r"endpoint-rollback is deleted; `pulumi up --refresh`"):
            check(FUNCTIONS)
    assert slept == [60]
