"""How a variant stands: what labels show, what is estimated, and whether the concept moved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from random import Random
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from numpy.typing import NDArray

from monitoring.bulk import DAY, usual
from monitoring.labels.baseline import Baseline
from monitoring.labels.concept import Tolerated
from monitoring.labels.pairs import Row
from monitoring.labels.performance import Outcome, Performance
from monitoring.labels.quality import Form
from monitoring.labels.scores import Scores
from monitoring.labels.standing import BUCKET, FEWEST, Promised, Standing
from monitoring.statistics.blocks import Cut
from rollout.core.release import release_id
from tests.monitoring.labelled_world import DECLARED, Killed, World, a_world

FORM = Form.from_dict(DECLARED)


def pair(source: Random, flipped: float = 0.0) -> tuple[float, bool]:
    """A calibrated score and its label, which is turned with some probability."""
    score = source.betavariate(2, 4)
    return score, (source.random() < score) != (source.random() < flipped)


def row(score: float, late: bool, at: float = 0.0, segments: Any = ()) -> Row:
    found = Outcome.of(FORM, {"decision": score >= 0.5, "probability": score}, late)
    losses = {name: [value] for name, value in found.losses.items()}
    return Row("v-a", None, losses, at, [(score, score >= 0.5, late)], segments)


def sealed(rows: int = 3000) -> Performance:
    source, found = Random(0), Performance()
    for _ in range(rows):
        for outcome in row(*pair(source)).outcomes():
            found.add(outcome)
    return found


def losses(rows: int = 3000) -> NDArray[np.float64]:
    source = Random(0)
    return np.array([FORM.losses({"probability": p}, hit)["LogLoss"] for p, hit in (pair(source) for _ in range(rows))])


SEALED = sealed()
USUAL = usual(losses(), 5.0)
PROMISED = Promised(FORM, SEALED, Tolerated(USUAL.means, Cut(25.0, 25), rise=0.01, bound=10_000, late=0.0))
"""Blocks of 25 seconds, with a label a second."""
DAILY = Baseline(SEALED, usual(losses(750), 5.0, np.repeat(np.arange(30) * DAY, 25)))


def gauges(standing: Standing, promised: Promised = PROMISED) -> dict[str, float]:
    return {
        item.name if item.segment is None else f"{item.name} {item.segment}": item.value
        for item in standing.gauges(promised)
    }


def taken(rows: int, flipped: float = 0.0, seed: int = 1) -> Standing:
    source, standing, answered = Random(seed), Standing.new(), Scores()
    pairs = [pair(source, flipped) for _ in range(rows)]
    for score, _ in pairs:
        answered.add(score, decided=score >= 0.5)
    standing.take([(f"{n}", row(*one, at=float(n))) for n, one in enumerate(pairs)], [answered], PROMISED)
    standing.judge(PROMISED)
    return standing


def test_labels_show_what_was_promised_as_long_as_the_concept_stays() -> None:
    found = gauges(taken(1500))
    for name in ("Accuracy", "LogLoss", "AUC"):
        assert found[f"Realised{name}Low"] < found[f"Realised{name}"] < found[f"Realised{name}High"]
        assert found[f"Estimated{name}Low"] < found[f"Realised{name}"] < found[f"Estimated{name}High"]
        assert found[f"EstimateMiss{name}"] == pytest.approx(found[f"Estimated{name}"] - found[f"Realised{name}"])
    assert found["RealisedCalibrationErrorLow"] == 0
    assert (found["RealisedPairs"], found["ConceptEvidence"] < 1) == (1500, True)


def test_turned_labels_show_as_evidence_and_as_a_miss_of_the_estimate() -> None:
    found = gauges(taken(1900, flipped=0.2))
    assert found["ConceptEvidence"] >= 1
    assert found["EstimateMissAccuracy"] > 0.05
    assert found["RealisedAccuracyHigh"] < found["EstimatedAccuracyLow"]


def test_what_comes_together_may_come_in_any_order() -> None:
    source, kept = Random(2), list[tuple[str, Row]]()
    for place in range(600):
        kept.append((f"{place}", row(*pair(source), at=float(place // 7))))
    one, other = Standing.new(), Standing.new()
    one.take(kept, [], PROMISED)
    source.shuffle(kept)
    other.take(kept[:200], [], PROMISED)
    other.take(kept[200:], [], PROMISED)
    for standing in (one, other):
        standing.judge(PROMISED)
    assert (one.bets.blocks, one.bets) == (3, other.bets), "two parts of what came together, too"
    other = Standing.new()
    other.take(kept, [], PROMISED)
    other.judge(PROMISED)
    assert one.as_dict() == other.as_dict()
    assert Standing.from_dict(json.loads(json.dumps(one.as_dict()))).as_dict() == one.as_dict()


def test_only_the_newest_count_and_few_say_nothing() -> None:
    standing = taken(FEWEST - 1)
    assert not any(name.startswith(("Realised", "EstimateMiss")) for name in gauges(standing))
    assert "EstimatedAccuracy" in gauges(standing), "scores need no label"
    for seed in range(4):
        standing.take([(f"{n}", row(0.9, True)) for n in range(BUCKET)], [], PROMISED)
        assert standing.newest.pairs <= 2 * BUCKET, seed
    assert gauges(standing)["RealisedAccuracy"] == 1.0, "the first ones, some of them wrong, are forgotten"


def test_segments_have_an_error_each() -> None:
    standing = Standing.new()
    rows = [row(0.9, n % 4 > 0, segments=[{"origin": "JFK" if n % 2 else "EWR"}]) for n in range(80)]
    standing.take([(f"{n}", one) for n, one in enumerate(rows)], [], PROMISED)
    found = gauges(standing)
    assert (found["SegmentError origin=EWR"], found["SegmentError origin=JFK"]) == (0.5, 0.0)
    assert found["SegmentErrorLow origin=EWR"] < 0.5 < found["SegmentErrorHigh origin=EWR"]


def test_without_a_sealed_baseline_only_labels_are_told() -> None:
    standing = Standing.new()
    standing.take([(f"{n}", row(0.9, True)) for n in range(50)], [], Promised(FORM))
    assert {name.removeprefix("Realised")[:4] for name in gauges(standing, Promised(FORM))} == {
        "Accu", "LogL", "Cali", "Pair",
    }  # fmt: skip


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with a_world(monkeypatch) as made:
        given = {"LABELS_SEGMENTS": "[]", "LABELS_LOSS_RISE": "0.02", "CONCEPT_FALSE_ALARMS": "0.5", "LABELS_DAYS": "1"}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        state = made.state()
        made.write_state(replace(state, champion=made.release("a", DECLARED, DAILY.as_dict())))
        yield made


def answered(world: World, pairs: list[tuple[float, bool]], day: int | None = None) -> list[str]:
    """Files of answers and of their labels; of a replayed day of the year 2013, when one is given."""
    names = [f"{world.names}-{n}" for n in range(len(pairs))]
    told = {} if day is None else {"customAttributes": [f"event-time={date(2013, 1, 1) + timedelta(days=day)}T12:00"]}
    answers = world.captured(
        "v-a", *((name, score >= 0.5, score) for name, (score, _) in zip(names, pairs, strict=True)), **told
    )
    return [answers, world.labelled(*((name, late) for name, (_, late) in zip(names, pairs, strict=True)))]


def kept(world: World) -> Standing:
    item = world.real("dynamodb").get_item(TableName="labels", Key={"id": {"S": "standing#v-a"}})["Item"]
    return Standing.from_dict(json.loads(item["standing"]["S"]))


def last(world: World, name: str) -> float:
    place = {"EndpointName": "e", "VariantName": "v-a"}
    return next(
        item["Values"][0]
        for item in reversed(world.sent)
        if item["MetricName"] == name and {one["Name"]: one["Value"] for one in item["Dimensions"]} == place
    )


@pytest.mark.slow
def test_labels_that_have_turned_reach_cloudwatch_as_evidence_some_days_after(world: World) -> None:
    source = Random(4)
    for day in range(3):
        world.deliver(*answered(world, [pair(source) for _ in range(25)], day))
    assert last(world, "ConceptEvidence") < 0.01
    for day in range(3, 12):
        world.deliver(*answered(world, [(0.9, False)] * 25, day))
    assert last(world, "ConceptEvidence") >= 1
    assert kept(world).bets.blocks == 10, "the labels of the last two days may still be coming"
    assert (kept(world).bets.since or 0) / DAY == pytest.approx((date(2013, 1, 4) - date(1970, 1, 1)).days, abs=1)
    assert last(world, "RealisedPairs") == 300
    assert kept(world).newest_asked.rows == 300
    world.sweep()
    assert last(world, "EstimatedAccuracy") > last(world, "RealisedAccuracy")


@pytest.mark.slow
def test_a_file_of_many_days_of_labels_in_any_order_is_judged_by_days_when_all_of_it_is_summed_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platforms.aws.batches._TOGETHER", 1)  # in several transactions
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
    world.write_state(replace(world.state(), champion=world.release("a", DECLARED, waves.as_dict())))
    world.deliver(*answered(world, [(0.9, number % 10 > 0) for number in range(50)], 0))
    assert (last(world, "ConceptEvidence") < 1, kept(world).bets.blocks) == (True, 2)
    world.deliver(*answered(world, [(0.9, False)] * 25, 365))
    assert last(world, "ConceptEvidence") >= 1


def test_a_release_without_days_to_judge_by_tells_no_evidence(world: World) -> None:
    world.write_state(replace(world.state(), champion=world.release("a", DECLARED, SEALED.as_dict())))
    world.deliver(*answered(world, [(0.9, False)] * 60))
    assert last(world, "RealisedPairs") == 60
    assert not any(item["MetricName"] == "ConceptEvidence" for item in world.sent)


def test_answers_without_labels_are_estimated_by_the_next_sweep(world: World) -> None:
    world.deliver(world.captured("v-a", *((None, True, 0.8) for _ in range(40))))
    world.sweep()
    assert last(world, "EstimatedAccuracy") == pytest.approx(0.8, abs=0.1)
    assert not any(item["MetricName"].startswith("Realised") for item in world.sent)


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


def test_pairs_that_cloudwatch_may_have_lost_are_summed_up_all_the_same(world: World) -> None:
    unclear = {"Error": {"Code": "InternalFailure"}, "ResponseMetadata": {"HTTPStatusCode": 500}}
    answers, truth = answered(world, [(0.9, True)] * 40)
    world.deliver(answers)
    world.refuse = ClientError(unclear, "PutMetricData")
    with pytest.raises(ClientError, match="InternalFailure"):
        world.deliver(truth)
    world.now += 1000
    world.sweep()
    assert (world.seen("LabelsLost")[1], kept(world).newest.pairs) == (40, 40)


def test_a_call_that_another_was_faster_than_sums_up_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from platforms.aws import batches

    world.deliver(*answered(world, [(0.9, True)] * 40))
    world.deliver(world.captured("v-a", *((None, True, 0.8) for _ in range(5))))
    before, raced = kept(world), batches.read

    def read(item: Any) -> Any:
        found = raced(item)
        monkeypatch.setattr(batches, "read", raced)
        world.sweep()  # the other call comes between reading and writing
        return found

    monkeypatch.setattr(batches, "read", read)
    world.sweep()
    assert kept(world).newest_asked.rows == before.newest_asked.rows + 5


def test_a_baseline_that_cannot_be_read_stops_no_labels(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.write_state(replace(world.state(), champion=world.release("a", DECLARED, {"scores": 3})))
    world.deliver(*answered(world, [(0.9, True)] * 40))
    assert world.seen("Accuracy", "v-a") == (40, 40)
    assert "baseline not read" in capsys.readouterr().out
    assert kept(world).newest.pairs == 40


def test_a_release_that_is_forgotten_leaves_nothing_behind(world: World) -> None:
    keys = answered(world, [(0.9, True)] * 40)
    world.deliver(keys[0])
    world.write_state(replace(world.state(), champion=world.release("c", DECLARED)))
    world.deliver(keys[1])
    items: list[Any] = world.real("dynamodb").scan(TableName="labels")["Items"]
    assert not [item for item in items if item["id"]["S"].startswith("batch#")]


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
    world.register(gone)
    variant = f"v-{release_id(gone.recipe, gone.image_uri)}"
    for _ in range(2):  # the second file finds it remembered
        world.deliver(world.captured(variant, (f"x{world.names}", True, 0.9), (f"y{world.names}", "maybe", 0.9)))
    world.deliver(world.labelled(("x0", True), ("y0", False)))
    assert world.seen("AnswersUnreadable") == (0, 0)
    assert world.seen("InvalidAnswers", variant) == (4, 2)
    assert world.seen("Accuracy", variant) == (2, 1)
    assert world.seen("InvalidAnswers", variant, "000002-b") == (0, 0), "they are of no trial any more"
