"""The two alarms on what acts and watches: functions that fail, events that nobody could handle, unmeasured drift.

Those on a release, on the objective and on the probe have tests of their own: test_beyond_chance, test_drift_alarm,
test_concept_alarm, test_slo.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.infra.recorded import LOCAL, OLD, idle
from tests.infra.recorded import run_program as run
from tests.infra.watched import Watched, play

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
    return {name: world.alarm(name) for name in (PAGE, TICKET)}


def counts(inputs: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """The counts that an alarm rings on, by metric and what it is of."""
    read = [query["metric"] for query in inputs["metricQueries"] if "metric" in query]
    return {(metric["metricName"], *metric["dimensions"].values()): metric for metric in read}


def tell(watched: Watched, metric: dict[str, Any], value: float) -> None:
    watched.put_of(metric["dimensions"], metric["namespace"], metric["metricName"], value)


async def later(watched: Watched, seconds: int) -> set[str]:
    """Those that ring some seconds later; a function that runs by a schedule succeeds each minute."""
    for _ in range(seconds // 30):
        tell(watched, SUCCEEDS, 0)
        await watched.local.advance(30)
    return await watched.ringing()


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
    read = counts(run(state=idle(OLD)).alarm(TICKET))
    assert ("Errors", LOCAL.function("advance")) in read
    assert ("Errors", LOCAL.function("retrain")) not in read


def test_each_count_rings_its_alarm_alone_stays_quiet_at_none_and_ends(
    alarms: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    async def story(watched: Watched) -> None:
        every = [(name, metric) for name, of in alarms.items() for key, metric in counts(of).items() if key[0] != LATE]
        assert len(every) == 10
        await watched.local.advance(300)
        assert await later(watched, 0) == set(), "silence"
        for _, metric in every:
            tell(watched, metric, 0)
        assert await later(watched, 300) == set(), "nothing failed"
        for sent, (name, metric) in enumerate(every, start=1):
            tell(watched, metric, 1)
            assert await later(watched, 90) == {name}, metric
            assert len(watched.told()) == sent
            tell(watched, metric, 0)
            assert await later(watched, 1800) == set(), metric

    play(tmp_path, alarms.values(), story)


def test_a_failure_that_a_second_attempt_mends_pages_once(alarms: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    failed = counts(alarms[PAGE])["Errors", LOCAL.function("rollback")]

    async def story(watched: Watched) -> None:
        tell(watched, failed, 1)
        assert await later(watched, 90) == {PAGE}
        tell(watched, failed, 0)
        await later(watched, 3600)
        assert len(watched.told()) == 1

    play(tmp_path, alarms.values(), story)


def test_drift_that_stays_unmeasured_is_told_once_while_sweeps_tell_it_again(
    alarms: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    metric = counts(alarms[TICKET])["DriftUnmeasured", LOCAL.endpoint]

    async def story(watched: Watched) -> None:
        for _ in range(10):
            tell(watched, metric, 1)
            assert await later(watched, 120) == {TICKET}
        assert len(watched.told()) == 1

    play(tmp_path, alarms.values(), story)


def test_files_that_wait_for_minutes_on_end_ring_and_an_old_one_among_others_or_alone_does_not(
    alarms: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    metric = counts(alarms[TICKET])[LATE, LOCAL.endpoint]

    async def story(watched: Watched) -> None:
        for delay in (3.0, 7200.0, 800.0, 7200.0, 5.0):
            tell(watched, metric, delay)
            tell(watched, metric, min(delay, 800.0))
            assert await later(watched, 60) == set()
        assert await later(watched, 600) == set()
        for _ in range(2):  # a person sends an old file again
            tell(watched, metric, 7200.0)
        assert await later(watched, 600) == set()
        rings: set[str] = set()
        for _ in range(4):
            tell(watched, metric, 901.0)
            rings = await later(watched, 60)
        assert rings == {TICKET}
        for _ in range(12):
            tell(watched, metric, 20.0)
            rings = await later(watched, 60)
        assert rings == set()

    play(tmp_path, alarms.values(), story)
