"""A stack that is made again under its name inherits no alarm of the one before: CloudWatch deletes no metric."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from localcloud.testing.cloudwatch import START
from modelstack.monitoring.published import CONCEPT_EVIDENCE, DRIFT_EVIDENCE
from modelstack.platforms.aws.metrics import ERRORS, FAILED, FUNCTION, INVOCATIONS, LAMBDA, LATENCY, SAGEMAKER
from tests.program.recorded import LOCAL, OLD, Answers, idle
from tests.program.recorded import run_program as run
from tests.program.watched import Alarm, Watched, play

LIVED = 600
"""Seconds that the first stack serves, badly."""
FIRING = {
    *(f"{OLD.variant}-{measure}" for measure in ("5xx", "p99", "drift", "concept")),
    *("functions-failing", "rollback-failing", "slo-page", "slo-ticket"),
}
"""The alarms that tell people, but for that on the probe, which fires when there are no metrics."""


def alarms(born: float) -> list[Alarm]:
    made = datetime.fromtimestamp(born, UTC).isoformat()
    config = {"monitoring": {"period_seconds": 10, "drift_minutes": 2}, "slo": {"probe_minutes": None}}
    world = run(state=idle(OLD), answers=Answers(born=made), **config)
    return [item.inputs for kind in (":MetricAlarm", ":CompositeAlarm") for item in world.all(kind)]


async def serve_badly(watched: Watched, seconds: int) -> set[str]:
    for _ in range(seconds // 10):
        for metric, value in ((INVOCATIONS, 1), (FAILED, 1), (LATENCY, 9e9)):
            for _ in range(20):
                watched.put(metric, value, OLD.variant, SAGEMAKER)
        for metric in (DRIFT_EVIDENCE, CONCEPT_EVIDENCE):
            watched.put(metric, 9, OLD.variant)
        for function in ("drift", "rollback"):
            watched.put_of({FUNCTION: LOCAL.function(function)}, LAMBDA, ERRORS, 1)
        await watched.local.advance(10)
    return await watched.firing()


@pytest.mark.slow
def test_all_fire_in_the_stack_that_served_badly(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        assert await serve_badly(watched, LIVED) >= FIRING

    play(tmp_path, alarms(START - 86_400), story)


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 25], ids=["at once", "a little later"])
def test_none_fires_in_the_next_stack_before_it_serves_and_all_do_when_it_serves_badly_too(
    after: int, tmp_path: Path
) -> None:
    async def story(watched: Watched) -> None:
        await serve_badly(watched, LIVED)
        for _ in range(60):
            assert not await watched.firing(10) & FIRING
        assert not watched.told()
        assert await serve_badly(watched, LIVED) >= FIRING - {"slo-ticket"}, "whose window is longer"

    play(tmp_path, alarms(START + LIVED + after), story)
