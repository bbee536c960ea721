"""The alarm on drift: it rings within a period, stays on from file to file, and ends when no evidence is told."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

import pytest

from monitoring.published import DRIFT_EVIDENCE
from tests.infra.recorded import OLD, idle
from tests.infra.recorded import run_program as run
from tests.infra.watched import Alarm, Watched, play

SWEEP = 120


def told(watched: Watched, evidence: float, seconds: float) -> Awaitable[str]:
    """The alarm's state some seconds after an evidence was told."""
    watched.put(DRIFT_EVIDENCE, evidence, OLD.variant)
    return later(watched, seconds)


def later(watched: Watched, seconds: float) -> Awaitable[str]:
    """The alarm's state after some seconds of silence."""
    return watched.state(OLD.variant, "drift", seconds)


def alarms() -> list[Alarm]:
    world = run(state=idle(OLD), monitoring={"period_seconds": 10, "drift_minutes": SWEEP // 60})
    return [world.alarm(f"{OLD.variant}-drift")]


def test_it_stays_quiet_below_an_evidence_of_one_and_in_silence(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        assert await later(watched, SWEEP) == "OK"
        for _ in range(10):
            assert await told(watched, 0.99, SWEEP) == "OK"

    play(tmp_path, alarms(), story)


def test_it_rings_within_a_period_of_the_file_and_once_while_sweeps_tell_the_evidence_again(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        assert await told(watched, 0.5, 30) == "OK"
        assert await told(watched, 1.0, 20) == "ALARM"
        for _ in range(5):
            assert await later(watched, SWEEP - 20) == "ALARM"
            assert await told(watched, 1.0, 20) == "ALARM"
        assert len(watched.local.mail.published) == 1

    play(tmp_path, alarms(), story)


@pytest.mark.parametrize("after", [0.2, None], ids=["the days are as at training again", "the release serves no more"])
def test_it_ends_about_two_sweeps_after_the_last_evidence_of_one(tmp_path: Path, after: float | None) -> None:
    async def story(watched: Watched) -> None:
        assert await told(watched, 3.0, SWEEP) == "ALARM"
        assert await (later(watched, 90) if after is None else told(watched, after, 90)) == "ALARM"
        assert await later(watched, 90) == "OK", "CloudWatch looks at two periods more"

    play(tmp_path, alarms(), story)
