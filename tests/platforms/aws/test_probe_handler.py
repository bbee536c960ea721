"""The probe's function: which request it sends, and what it counts; the rest is in `tests/services/test_probe.py`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from monitoring.captured import PROBED
from platforms.aws.clients import Clients
from platforms.aws.handlers import probe as handler
from platforms.aws.journal import copied_journal
from rollout.core.release import Release
from services import probe
from services.sealed_packages import DigestMismatch, member_uri
from tests.platforms.aws.mocked import journal_table, mocked_aws
from tests.platforms.aws.sealing import put, sealed_release

SAMPLE = b'{"instances":[{"x":1.5}]}'
BUCKET = "artifacts"


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


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    environment = {"ENDPOINT_NAME": "endpoint", "JOURNAL_TABLE": "rollouts", "ARTIFACT_BUCKET": BUCKET}
    with mocked_aws(monkeypatch, **environment) as real:
        made = World(real)
        monkeypatch.setattr(handler, "_clients", lambda: made.clients)
        monkeypatch.setattr(handler, "_once", lambda _: made.runtime)
        handler._member.cache_clear()
        journal_table(real)
        made.clients("s3").create_bucket(Bucket=BUCKET)
        yield made


def test_the_champions_own_sealed_request_is_asked_and_marked_as_a_probes(world: World) -> None:
    world.release(SAMPLE)
    assert handler.handler({}, None) == {"probed": True, "ok": True}
    (asked,) = world.asked
    assert (asked["EndpointName"], asked["Body"]) == ("endpoint", SAMPLE)
    assert asked["InferenceId"].startswith(PROBED)
    assert asked["TargetVariant"] == "v-a"
    counted = world.counted()
    assert counted["ProbeSuccess"] == 1
    assert counted["ProbeLatency"] >= 0


def test_before_the_first_release_nothing_is_asked_and_nothing_counted(world: World) -> None:
    assert handler.handler({}, None) == {"probed": False}
    assert (world.asked, world.counted()) == ([], {})


def test_a_package_that_was_changed_is_not_asked_from(world: World) -> None:
    champion = world.release(SAMPLE)
    put(world.clients("s3"), member_uri(champion.archive_uri, probe.SAMPLE), b"{}")
    with pytest.raises(DigestMismatch):
        handler.handler({}, None)
    assert (world.asked, world.counted()) == ([], {}), "no probe is missing data, which fires too"


def test_a_new_champions_request_is_asked_after_a_promotion(world: World) -> None:
    for content in (SAMPLE, b'{"instances":[{"y":"b"}]}'):
        world.release(content)
        handler.handler({}, None)
        assert world.asked[-1]["Body"] == content
