"""The two alarms on what acts and watches: functions that fail, events that nobody could handle, unmeasured drift.

Those on a release, on the objective and on the probe have tests of their own: test_beyond_chance, test_drift_alarm,
test_concept_alarm, test_slo.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from localcloud.testing.cloudwatch import TOPIC, Datum, Local, running
from tests.infra.queries import as_put
from tests.infra.recorded import LOCAL, OLD, idle
from tests.infra.recorded import run_program as run

PAGE, TICKET = "rollback-failing", "functions-failing"
FUNCTIONS = ("advance", "drift", "labels", "probe", "retrain")
QUEUES = ("captures", "labels")
LATE = "LabelsDelay"
SUCCEEDS = {
    "namespace": "AWS/Lambda",
    "metricName": "Errors",
    "dimensions": {"FunctionName": LOCAL.function("advance")},
}


@pytest.fixture(scope="module")
def alarms() -> dict[str, dict[str, Any]]:
    world = run(state=idle(OLD), retraining={"enabled": True}, monitoring={"drift_minutes": 2})
    return {name: world.one(":MetricAlarm", name).inputs for name in (PAGE, TICKET)}


def counts(inputs: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The counts that an alarm rings on, by metric and what it is of."""
    read = [query["metric"] for query in inputs["metricQueries"] if "metric" in query]
    return {(metric["metricName"], *metric["dimensions"].values()): metric for metric in read}  # pyright: ignore[reportReturnType]


class Watched:
    """A CloudWatch with these alarms as they are declared."""

    def __init__(self, local: Local) -> None:
        self.local = local

    async def tell(self, metric: dict[str, Any], value: float) -> None:
        datum = Datum(metric["metricName"], metric["dimensions"], value, "Count", self.local.clock.now)
        self.local.service.put(metric["namespace"], [datum])

    async def later(self, seconds: int) -> set[str]:
        """Those that ring some seconds later; a function that runs by a schedule succeeds each minute."""
        for _ in range(seconds // 30):
            await self.tell(SUCCEEDS, 0)
            await self.local.advance(30)
        answer = await self.local("DescribeAlarms", StateValue="ALARM", MaxRecords=100)
        return {LOCAL.short(item["AlarmName"]) for item in answer["MetricAlarms"]}


def play(alarms: dict[str, dict[str, Any]], folder: Path, story: Callable[[Watched], Awaitable[None]]) -> None:
    async def main() -> None:
        async with running(folder) as local:
            for inputs in alarms.values():
                await local("PutMetricAlarm", AlarmName=inputs["name"], AlarmActions=[TOPIC], **as_put(inputs))
            await story(Watched(local))

    asyncio.run(main())


def test_every_function_and_every_queue_is_watched_by_one_alarm_that_tells_people(
    alarms: dict[str, dict[str, Any]],
) -> None:
    failed = {("Errors", LOCAL.function(name)) for name in FUNCTIONS}
    waiting = {("ApproximateNumberOfMessagesVisible", f"{LOCAL.prefix}-{name}-dlq") for name in QUEUES}
    told = {("DriftUnmeasured", LOCAL.endpoint), (LATE, LOCAL.endpoint)}
    assert counts(alarms[TICKET]).keys() == failed | waiting | told
    assert counts(alarms[PAGE]).keys() == {
        ("Errors", LOCAL.function("rollback")),
        ("ApproximateNumberOfMessagesVisible", LOCAL.dead_letters),
    }
    for inputs in alarms.values():
        assert inputs["alarmActions"]
        rings = {query["id"]: query["expression"] for query in inputs["metricQueries"] if "expression" in query}["most"]
        read = {query["id"] for query in inputs["metricQueries"] if "metric" in query} - {"delay", "files"}
        assert all(name in rings for name in read), "one that is read and not asked about never rings"


def test_a_stack_without_retraining_watches_no_function_of_it() -> None:
    read = counts(run(state=idle(OLD)).one(":MetricAlarm", TICKET).inputs)
    assert ("Errors", LOCAL.function("advance")) in read
    assert ("Errors", LOCAL.function("retrain")) not in read


def test_each_count_rings_its_alarm_alone_stays_quiet_at_none_and_ends(
    alarms: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    async def story(watched: Watched) -> None:
        every = [(name, metric) for name, of in alarms.items() for key, metric in counts(of).items() if key[0] != LATE]
        assert len(every) == 10
        await watched.local.advance(300)
        assert await watched.later(0) == set(), "silence"
        for _, metric in every:
            await watched.tell(metric, 0)
        assert await watched.later(300) == set(), "nothing failed"
        for sent, (name, metric) in enumerate(every, start=1):
            await watched.tell(metric, 1)
            assert await watched.later(90) == {name}, metric
            assert len(watched.local.mail.published) == sent
            await watched.tell(metric, 0)
            assert await watched.later(1800) == set(), metric

    play(alarms, tmp_path, story)


def test_a_failure_that_a_second_attempt_mends_pages_once(alarms: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    failed = counts(alarms[PAGE])["Errors", LOCAL.function("rollback")]

    async def story(watched: Watched) -> None:
        await watched.tell(failed, 1)
        assert await watched.later(90) == {PAGE}
        await watched.tell(failed, 0)
        await watched.later(3600)
        assert len(watched.local.mail.published) == 1

    play(alarms, tmp_path, story)


def test_drift_that_stays_unmeasured_is_told_once_while_sweeps_tell_it_again(
    alarms: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    metric = counts(alarms[TICKET])["DriftUnmeasured", LOCAL.endpoint]

    async def story(watched: Watched) -> None:
        for _ in range(10):
            await watched.tell(metric, 1)
            assert await watched.later(120) == {TICKET}
        assert len(watched.local.mail.published) == 1

    play(alarms, tmp_path, story)


def test_files_that_wait_for_minutes_on_end_ring_and_an_old_one_among_others_or_alone_does_not(
    alarms: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    metric = counts(alarms[TICKET])[LATE, LOCAL.endpoint]

    async def story(watched: Watched) -> None:
        for delay in (3.0, 7200.0, 800.0, 7200.0, 5.0):
            await watched.tell(metric, delay)
            await watched.tell(metric, min(delay, 800.0))
            assert await watched.later(60) == set()
        assert await watched.later(600) == set()
        for _ in range(2):  # a person sends an old file again
            await watched.tell(metric, 7200.0)
        assert await watched.later(600) == set()
        rings: set[str] = set()
        for _ in range(4):
            await watched.tell(metric, 901.0)
            rings = await watched.later(60)
        assert rings == {TICKET}
        for _ in range(12):
            await watched.tell(metric, 20.0)
            rings = await watched.later(60)
        assert rings == set()

    play(alarms, tmp_path, story)
