"""The alarm on a moved concept: it rings on evidence of 1, stays quiet below, and keeps its state without labels."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from random import Random

import pytest

from monitoring.labels.concept import Bets, Tolerated, Usual
from monitoring.labels.settling import Labelled
from monitoring.published import CONCEPT_EVIDENCE
from monitoring.statistics.blocks import Cut
from tests.infra.recorded import OLD, World, idle
from tests.infra.recorded import run_program as run
from tests.infra.watched import Watched, play

HOUR = 3600.0
USUAL = Usual.of([0.45 + day % 7 / 50 for day in range(30)], Cut(HOUR, 1), 5.0)
assert USUAL is not None
TOLERATED = Tolerated.of(USUAL, share=0.05, false_alarms=0.5, late_days=0, every=HOUR)


@pytest.fixture(scope="module")
def world() -> World:
    return run(state=idle(OLD), monitoring={"max_loss_rise": 0.25, "labels_days": 3, "segments": ["carrier"]})


def test_each_variant_has_an_alarm_that_tells_people_and_keeps_its_state_without_labels(world: World) -> None:
    declared = [item for item in world.all(":MetricAlarm") if item.name.endswith("-concept")]
    assert len(declared) == 2, "of the champion and of the challenger"
    for item in declared:
        assert item.inputs["alarmActions"]
        assert "more than 25%" in item.inputs["alarmDescription"]
        assert item.inputs["treatMissingData"] == "ignore", "no label says nothing"


def test_the_function_is_told_what_is_tolerated_and_which_segments_there_are(world: World) -> None:
    variables = world.function("labels")["environment"]["variables"]
    assert variables["LABELS_SEGMENTS"] == '["carrier"]'
    assert (variables["LABELS_LOSS_RISE"], variables["CONCEPT_FALSE_ALARMS"]) == ("0.25", "0.1")
    assert (float(variables["LABELS_DAYS"]), variables["DRIFT_MINUTES"]) == (3, "2")


def test_it_stays_quiet_while_losses_are_tolerated_and_rings_when_they_have_risen(world: World, tmp_path: Path) -> None:
    bets, source, hours = Bets(), Random(1), count()

    async def lose(watched: Watched, mean: float) -> str:
        """The alarm's state after an hour of labels with losses about a mean."""
        loss, at = source.gauss(mean, 0.04), next(hours) * HOUR
        bets.add(TOLERATED, [Labelled(loss, at, at)])
        bets.judge(TOLERATED)
        watched.put(CONCEPT_EVIDENCE, bets.evidence(TOLERATED), OLD.variant)
        return await watched.state(OLD.variant, "concept", 30)

    async def story(watched: Watched) -> None:
        for _ in range(20):
            assert await lose(watched, 0.5) == "OK"
        assert [await lose(watched, 0.9) for _ in range(15)][-1] == "ALARM"
        assert len(watched.told()) == 1
        assert await watched.state(OLD.variant, "concept", 3600) == "ALARM", "silence does not end it"
        assert [await lose(watched, 0.3) for _ in range(10)][-1] == "OK", "labels that are right again do"

    play(tmp_path, [world.alarm(f"{OLD.variant}-concept")], story)
