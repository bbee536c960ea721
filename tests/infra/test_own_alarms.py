"""The alarms on what watches: functions that fail, events that nobody could handle, drift that is not measured.

Those on a release, on the objective and on the probe have tests of their own: test_beyond_chance, test_drift_alarm,
test_concept_alarm, test_slo.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from localcloud.testing.cloudwatch import TOPIC, Datum, Local, running
from tests.infra.queries import as_put
from tests.infra.recorded import OLD, World, idle
from tests.infra.recorded import run_program as run

# The SDK's own modules, when they load.
pytestmark = pytest.mark.filterwarnings("ignore:.*has been deprecated in favor of.*:DeprecationWarning")

OF_RELEASES = ("-5xx", "-p99", "-drift", "-concept")
OF_PROMISES = ("burn-", "probe-silent")
LATE = "labels-late"
FUNCTIONS = ("advance", "drift", "labels", "probe", "retrain", "rollback")
QUEUES = ("drift", "labels", "rollback")


@pytest.fixture(scope="module")
def alarms() -> dict[str, dict[str, Any]]:
    world: World = run(state=idle(OLD), retraining={"enabled": True})
    declared = {
        item.inputs["name"].removeprefix("flight-delay-local-"): item.inputs for item in world.all(":MetricAlarm")
    }
    return {
        name: inputs
        for name, inputs in declared.items()
        if not name.endswith(OF_RELEASES) and not name.startswith(OF_PROMISES)
    }


class Watched:
    """A CloudWatch with these alarms as they are declared."""

    def __init__(self, local: Local, alarms: dict[str, dict[str, Any]]) -> None:
        self.local, self.alarms = local, alarms

    async def tell(self, name: str, value: float) -> None:
        of = self.alarms[name]
        datum = Datum(of["metricName"], of["dimensions"], value, "Count", self.local.clock.now)
        self.local.service.put(of["namespace"], [datum])

    async def later(self, seconds: float) -> set[str]:
        """Those that ring some seconds later."""
        await self.local.advance(seconds)
        answer = await self.local("DescribeAlarms", StateValue="ALARM", MaxRecords=100)
        return {item["AlarmName"].removeprefix("flight-delay-local-") for item in answer["MetricAlarms"]}


def test_every_function_every_queue_and_every_variant_has_its_alarm(alarms: dict[str, dict[str, Any]]) -> None:
    unmeasured = {name for name in alarms if name.endswith("-drift-unmeasured")}
    assert len(unmeasured) == 2, "of the champion and of the release that is to come"
    wanted = {f"{name}-errors" for name in FUNCTIONS} | {f"{name}-dead-letters" for name in QUEUES}
    assert alarms.keys() - unmeasured - {LATE} == wanted
    assert all(inputs["alarmActions"] for inputs in alarms.values())


def test_each_rings_on_one_failure_stays_quiet_without_and_ends(
    alarms: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    async def main() -> None:
        async with running(tmp_path) as local:
            for inputs in alarms.values():
                await local("PutMetricAlarm", AlarmName=inputs["name"], AlarmActions=[TOPIC], **as_put(inputs))
            watched = Watched(local, alarms)
            assert await watched.later(300) == set(), "silence"
            for name in alarms:
                await watched.tell(name, 0)
            assert await watched.later(300) == set(), "nothing failed"
            for sent, name in enumerate(alarms.keys() - {LATE}, start=1):
                await watched.tell(name, 1)
                assert await watched.later(90) == {name}
                assert len(local.mail.published) == sent
                await watched.tell(name, 0)
                assert await watched.later(900) == set()

    asyncio.run(main())


def test_files_that_wait_for_minutes_on_end_ring_and_a_single_old_one_does_not(
    alarms: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    async def main() -> None:
        async with running(tmp_path) as local:
            inputs = alarms[LATE]
            await local("PutMetricAlarm", AlarmName=inputs["name"], AlarmActions=[TOPIC], **as_put(inputs))
            watched = Watched(local, {LATE: inputs})
            for delay in (3.0, 7200.0, 800.0, 7200.0, 5.0):
                await watched.tell(LATE, delay)
                await watched.tell(LATE, min(delay, 800.0))
                assert await watched.later(60) == set()
            for _ in range(4):
                await watched.tell(LATE, 901.0)
                rings = await watched.later(60)
            assert rings == {LATE}
            for _ in range(4):
                await watched.tell(LATE, 20.0)
                rings = await watched.later(60)
            assert rings == set()

    asyncio.run(main())
