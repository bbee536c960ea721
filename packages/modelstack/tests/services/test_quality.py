"""The quality state of a variant, summed up once from labels and answers, whoever is killed or works at once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any

import numpy as np
import pytest

from modelstack.monitoring.bulk import usual
from modelstack.monitoring.labels.concept import DAY
from modelstack.monitoring.labels.standing import Standing
from modelstack.rollout.core.errors import Unreachable
from modelstack.services import batches
from modelstack.services.measuring import Measuring
from tests.monitoring.labels.test_standing import DAILY, SEALED, pair
from tests.services.labelled import DECLARED, Killed, World


@pytest.fixture
def world() -> World:
    made = World(settings=Measuring(max_loss_rise=0.02, concept_false_alarms=0.5))
    made.release("a", DECLARED, DAILY.as_dict())
    return made


def answered(world: World, pairs: list[tuple[float, bool]], day: int | None = None) -> list[str]:
    """Files of answers and of their labels; of a replayed day of the year 2013, when one is given."""
    names = [f"{world.names}-{n}" for n in range(len(pairs))]
    told = {} if day is None else {"customAttributes": [f"event-time={date(2013, 1, 1) + timedelta(days=day)}T12:00"]}
    answers = world.captured(
        "v-a", *((name, score >= 0.5, score) for name, (score, _) in zip(names, pairs, strict=True)), **told
    )
    return [answers, world.labelled(*((name, late) for name, (_, late) in zip(names, pairs, strict=True)))]


def kept(world: World) -> Standing:
    return batches._state(world.documents.get(["quality#v-a"])["quality#v-a"])


@pytest.mark.slow
def test_labels_that_have_turned_reach_cloudwatch_as_evidence_some_days_after(world: World) -> None:
    source = Random(4)
    for day in range(3):
        world.deliver(*answered(world, [pair(source) for _ in range(25)], day))
    assert world.last("ConceptEvidence") < 0.01
    for day in range(3, 12):
        world.deliver(*answered(world, [(0.9, False)] * 25, day))
    assert world.last("ConceptEvidence") >= 1
    assert kept(world).bets.blocks == 10, "the labels of the last two days may still be coming"
    assert (kept(world).bets.since or 0) / DAY == pytest.approx((date(2013, 1, 4) - date(1970, 1, 1)).days, abs=1)
    assert world.last("RealisedPairs") == 300
    assert kept(world).newest_asked.rows == 300
    world.sweep()
    assert world.last("EstimatedAccuracy") > world.last("RealisedAccuracy")


@pytest.mark.slow
def test_a_file_of_many_days_of_labels_in_any_order_is_judged_by_days_when_all_of_it_is_summed_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelstack.services.batches._TOGETHER", 1)  # in several transactions
    source, labels = Random(6), list[tuple[str, Any]]()
    for day in range(8):
        names = [f"{day}-{n}" for n in range(25)]
        at = {"customAttributes": f"event-time={date(2013, 1, 1 + day)}T12:00:00+00:00"}
        world.deliver(world.captured("v-a", *((name, True, 0.9) for name in names), **at))
        labels += [(name, True) for name in names]
    source.shuffle(labels)
    world.deliver(world.labelled(*labels))
    assert (kept(world).bets.blocks, kept(world).bets.settling.filling.rows) == (6, 0)
    assert {block.rows for block in kept(world).bets.settling.opened.values()} == {25}


def test_labels_of_one_date_a_year_that_have_turned_reach_cloudwatch_as_evidence_within_that_year(world: World) -> None:
    source = np.random.default_rng(1)
    year = (date(2012, 1, 1) - date(1970, 1, 1)).days * DAY
    losses = np.where(source.random(1600) < 0.9, 0.105, 2.3)
    waves = replace(DAILY, usual=usual(losses, 5.0, np.full(1600, year), waves=True))
    world.release("a", DECLARED, waves.as_dict())
    world.deliver(*answered(world, [(0.9, number % 10 > 0) for number in range(50)], 0))
    assert (world.last("ConceptEvidence") < 1, kept(world).bets.blocks) == (True, 2)
    world.deliver(*answered(world, [(0.9, False)] * 25, 365))
    assert world.last("ConceptEvidence") >= 1


def test_a_release_without_days_to_judge_by_tells_no_evidence(world: World) -> None:
    world.release("a", DECLARED, SEALED.as_dict())
    world.deliver(*answered(world, [(0.9, False)] * 60))
    assert world.last("RealisedPairs") == 60
    assert not any(one.name == "ConceptEvidence" for one in world.metrics.data)


def test_answers_without_labels_are_estimated_by_the_next_sweep(world: World) -> None:
    world.deliver(world.captured("v-a", *((None, True, 0.8) for _ in range(40))))
    world.sweep()
    assert world.last("EstimatedAccuracy") == pytest.approx(0.8, abs=0.1)
    assert not any(one.name.startswith("Realised") for one in world.metrics.data)


@pytest.mark.slow
def test_whatever_is_killed_and_delivered_again_each_pair_is_summed_up_once(world: World) -> None:
    source = Random(5)
    keys = answered(world, [pair(source) for _ in range(120)])
    for kill_after in (*range(0, 40, 2), None):
        world.kill_after = kill_after
        with suppress(Killed):
            world.deliver(*keys)
        world.now += 61
    world.kill_after = None
    for kill_after in (*range(12), None):
        world.kill_after = kill_after
        with suppress(Killed):
            world.sweep()
        world.now += 1000
    counted = sum(block.rows for block in kept(world).bets.settling.opened.values())
    assert (kept(world).newest.pairs, counted, kept(world).newest_asked.rows) == (120, 120, 120)


def test_pairs_whose_metrics_may_be_lost_are_summed_up_all_the_same(world: World) -> None:
    answers, truth = answered(world, [(0.9, True)] * 40)
    world.deliver(answers)
    world.metrics.refuse = Unreachable("no answer")
    with pytest.raises(Unreachable, match="no answer"):
        world.deliver(truth)
    world.now += 1000
    world.sweep()
    assert (world.seen("LabelsLost")[1], kept(world).newest.pairs) == (40, 40)


def test_a_call_that_another_was_faster_than_sums_up_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.deliver(*answered(world, [(0.9, True)] * 40))
    world.deliver(world.captured("v-a", *((None, True, 0.8) for _ in range(5))))
    before, raced = kept(world), batches._read

    def read(*of: Any) -> Any:
        found = raced(*of)
        monkeypatch.setattr(batches, "_read", raced)
        world.sweep()  # the other call comes between reading and writing
        return found

    monkeypatch.setattr(batches, "_read", read)
    world.sweep()
    assert kept(world).newest_asked.rows == before.newest_asked.rows + 5


def test_a_baseline_that_cannot_be_read_stops_no_labels(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.release("a", DECLARED, {"scores": 3})
    world.deliver(*answered(world, [(0.9, True)] * 40))
    assert world.seen("Accuracy", "v-a") == (40, 40)
    assert "baseline not read" in capsys.readouterr().out
    assert kept(world).newest.pairs == 40


def test_a_release_that_is_forgotten_leaves_nothing_behind(world: World) -> None:
    keys = answered(world, [(0.9, True)] * 40)
    world.deliver(keys[0])
    world.state = replace(world.state, champion=world.release("c", DECLARED))
    world.deliver(keys[1])
    world.sweep()
    assert not [one for queue in batches.UNFINISHED for one in world.documents.scan(queue, world.now)]


def test_answers_whose_time_cannot_be_true_are_told_and_are_in_no_trial(world: World) -> None:
    ahead, right = world.captured("v-b", ("x", True, 0.9), ago=-3600), world.captured("v-b", ("y", True, 0.9))
    behind = world.captured("v-b", ("w", True, 0.9), ago=3700)
    world.deliver(ahead, right, behind, world.captured("v-b", ("z", True, 0.9), inferenceTime="soon"))
    world.deliver(world.labelled(("w", True), ("x", True), ("y", True), ("z", True)))
    assert world.seen("AnswersSkewed")[1] == 3
    assert world.seen("Accuracy", "v-b") == (4, 4)
    assert world.seen("Accuracy", "v-b", "000002-b") == (1, 1)
    assert (world.seen("InvalidAnswers", "v-b")[0], world.seen("InvalidAnswers", "v-b", "000002-b")[0]) == (4, 1)
    assert [kind for kind, _ in world.rejected()] == ["AnswersSkewed"] * 3
    assert [why for _, why in world.rejected() if "an instance's clock is wrong" in why] == [
        "the answer's time is more than 300 s ahead of ours: an instance's clock is wrong",
        "the answer's time is more than 3600 s before its file's: an instance's clock is wrong",
    ]


def test_the_answers_of_a_variant_that_nobody_knows_are_told_as_such(world: World) -> None:
    world.deliver(world.captured("v-z", ("x", True, 0.9)))
    why = "neither the rollout nor the registry knows a release of this variant"
    assert world.rejected() == [("AnswersUnreadable", why)]


def test_late_answers_of_a_version_that_was_rolled_back_are_counted_as_what_they_are(world: World) -> None:
    gone = world.release("gone", DECLARED)
    world.forgotten[variant := gone.variant] = gone
    for _ in range(2):
        world.deliver(world.captured(variant, (f"x{world.names}", True, 0.9), (f"y{world.names}", "maybe", 0.9)))
    world.deliver(world.labelled(("x0", True), ("y0", False)))
    assert world.seen("AnswersUnreadable") == (0, 0)
    assert world.seen("InvalidAnswers", variant) == (4, 2)
    assert world.seen("Accuracy", variant) == (2, 1)
    assert world.seen("InvalidAnswers", variant, "000002-b") == (0, 0), "they are of no trial any more"
