"""Whether the endpoint answers: what a probe asks, what it makes of the answer, and what it counts."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from monitoring.captured import PROBED
from monitoring.objectives import probe
from platforms.aws.clients import Clients
from platforms.aws.handlers import probe as handler
from platforms.aws.journal import DynamoJournal
from platforms.aws.packages import DigestMismatch
from rollout.core.release import Release
from services.sealed_packages import member_uri
from tests.platforms.aws.mocked import journal_table, mocked_aws
from tests.platforms.aws.rights import held_to_rights
from tests.platforms.aws.sealing import put, sealed_release

__all__ = ["held_to_rights"]

SAMPLE = b'{"instances":[{"x":1.5}]}'
BUCKET = "artifacts"


class Runtime:
    """An endpoint that answers with a body, or raises."""

    def __init__(self, said: bytes | Exception = b'{"predictions":[{"p":0.5}]}') -> None:
        self.said, self.serves = said, "v-a"
        self.asked: list[dict[str, Any]] = []

    def invoke_endpoint(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        if isinstance(self.said, Exception):
            raise self.said
        if asked.get("TargetVariant", self.serves) != self.serves:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no such variant"}}, "InvokeEndpoint")
        return {"Body": io.BytesIO(self.said)}


class World:
    """A champion's package in the bucket, an endpoint, and what was counted."""

    def __init__(self, clients: Clients) -> None:
        self.runtime = Runtime()
        self.clients = clients

    def release(self, example: bytes) -> Release:
        """The champion's package holds this request."""
        champion = sealed_release("a", self.clients("s3"), BUCKET, {probe.SAMPLE: example})
        journal = DynamoJournal(self.clients, "rollouts", "endpoint")
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


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    environment = {"ENDPOINT_NAME": "endpoint", "JOURNAL_TABLE": "rollouts", "ARTIFACT_BUCKET": BUCKET}
    with mocked_aws(monkeypatch, **environment) as real:
        made = World(real)
        monkeypatch.setattr(handler, "_clients", lambda: made.clients)
        monkeypatch.setattr(handler, "_once", lambda _: made.runtime)
        handler._sample.cache_clear()
        journal_table(real)
        made.clients("s3").create_bucket(Bucket=BUCKET)
        yield made


# --- what it makes of an answer


def ticking() -> Any:
    """A clock that is 0.25 s later each time it is read."""
    return iter(number / 4 for number in range(99)).__next__


def test_a_sound_answer_is_a_success_with_the_time_that_it_took() -> None:
    outcome = probe.run(SAMPLE, lambda body: b'{"predictions":[1]}' if body == SAMPLE else b"", ticking())
    assert outcome == probe.Outcome(ok=True, milliseconds=250, why="")
    assert outcome.metrics() == [("ProbeSuccess", 1, "Count"), ("ProbeLatency", 250, "Milliseconds")]


@pytest.mark.parametrize("answer", [b"", b'{"predictions":[NaN]}'])
def test_an_answer_that_is_empty_or_not_finite_is_a_failure_and_has_no_latency(answer: bytes) -> None:
    outcome = probe.run(SAMPLE, lambda _: answer, ticking())
    assert not outcome.ok
    assert outcome.why
    assert outcome.metrics() == [("ProbeSuccess", 0, "Count")]


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"instances":[]}', None])
def test_a_package_without_a_request_says_so(content: bytes | None) -> None:
    with pytest.raises(probe.UnreadableSample, match=r"example\.json"):
        probe.sample(content)


# --- the handler


def test_the_champions_own_sealed_request_is_asked_and_marked_as_a_probes(world: World) -> None:
    world.release(SAMPLE)
    assert handler.handler({}, None) == {"probed": True, "ok": True}
    (asked,) = world.runtime.asked
    assert (asked["EndpointName"], asked["Body"]) == ("endpoint", SAMPLE)
    assert asked["InferenceId"].startswith(PROBED)
    assert asked["TargetVariant"] == "v-a", "a challenger on trial must not be judged by probes"
    counted = world.counted()
    assert counted["ProbeSuccess"] == 1
    assert counted["ProbeLatency"] >= 0


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "ModelError", "Message": "500"}}, "InvokeEndpoint"),
        ReadTimeoutError(endpoint_url="https://runtime"),
    ],
)
def test_an_error_and_a_time_out_are_counted_as_failures(world: World, error: Exception) -> None:
    world.release(SAMPLE)
    world.runtime.said = error
    assert handler.handler({}, None) == {"probed": True, "ok": False}
    assert world.counted() == {"ProbeSuccess": 0}


def test_whoever_serves_is_asked_when_a_promotion_has_just_taken_the_champion_away(world: World) -> None:
    world.release(SAMPLE)
    world.runtime.serves = "v-b"
    assert handler.handler({}, None) == {"probed": True, "ok": True}
    assert [asked.get("TargetVariant") for asked in world.runtime.asked] == ["v-a", None]


def test_before_the_first_release_nothing_is_asked_and_nothing_counted(world: World) -> None:
    assert handler.handler({}, None) == {"probed": False}
    assert (world.runtime.asked, world.counted()) == ([], {})


def test_a_package_that_was_changed_is_not_asked_from(world: World) -> None:
    champion = world.release(SAMPLE)
    put(world.clients("s3"), member_uri(champion.archive_uri, probe.SAMPLE), b"{}")
    with pytest.raises(DigestMismatch):
        handler.handler({}, None)
    assert (world.runtime.asked, world.counted()) == ([], {}), "no probe is missing data, which rings too"


def test_a_new_champions_request_is_asked_after_a_promotion(world: World) -> None:
    for content in (SAMPLE, b'{"instances":[{"y":"b"}]}'):
        world.release(content)
        handler.handler({}, None)
        assert world.runtime.asked[-1]["Body"] == content


def test_answers_to_probes_are_no_part_of_what_is_captured() -> None:
    from monitoring.exchanges import traffic

    def line(name: str) -> str:
        side = {"data": json.dumps({"instances": [{"x": 1}]}), "encoding": "JSON"}
        return json.dumps({"captureData": {"endpointInput": side}, "eventMetadata": {"inferenceId": name}})

    lines = [line(f"{PROBED}1"), line("flight-7")]
    assert [getattr(item, "inference_id", None) for item in traffic(lines)] == ["flight-7"]
