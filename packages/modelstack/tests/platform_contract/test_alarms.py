"""What every platform's alarms promise: those that fire are returned, and who cannot know does not say that none do."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import httpx
import pytest

from modelstack.platforms.aws.alarm_states import CloudWatchAlarms
from modelstack.platforms.kubernetes.alarm_states import PrometheusAlarms
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.rollout.core.errors import Unreachable
from modelstack.services.counters import Alarms
from tests.platforms.aws.mocked import mocked_aws
from tests.platforms.aws.stubbed_endpoint import put_alarm
from tests.platforms.kubernetes.scrapes import Tsdb
from tests.platforms.kubernetes.test_alarm_states import NOW, rules

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(params=["moto", "prometheus"])
def alarms(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Alarms, Alarms]]:
    """Alarms of which the one on errors of v-b alone fires, and alarms that nobody answers for."""
    if request.param == "prometheus":
        clients = Tsdb(rules=rules({"endpoint-v-b-5xx": "0.2"})).client(), httpx.Client(base_url=NOBODY)
        known, unknown = (PrometheusAlarms(Prometheus(one), "models", "endpoint", lambda: NOW) for one in clients)
        yield known, unknown
        return
    with mocked_aws(monkeypatch) as moto:
        put_alarm("v-b")
        put_alarm("v-a", state="OK")
        cut_off = lambda name: boto3.client(name, endpoint_url=NOBODY)  # noqa: E731
        yield CloudWatchAlarms(moto, "endpoint"), CloudWatchAlarms(cut_off, "endpoint")


def test_alarms_that_fire_are_returned_and_no_others(alarms: tuple[Alarms, Alarms]) -> None:
    known, _ = alarms
    found = [one.alarm for one in known.firing(["v-a", "v-b"])]
    assert [(one.variant, one.name, one.measure) for one in found] == [("v-b", "endpoint-v-b-5xx", "errors")]
    assert known.firing(["v-a"]) == []


def test_alarms_that_cannot_be_read_are_unreachable(alarms: tuple[Alarms, Alarms]) -> None:
    _, unknown = alarms
    with pytest.raises(Unreachable):
        unknown.firing(["v-a"])
