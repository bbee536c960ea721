"""The team's own metrics, from captured answers and late labels to the judge's verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from modelstack.monitoring.custom import CustomMetrics, load
from modelstack.rollout.controller.ports import Quantile, SignalQuery
from modelstack.rollout.core.catalogue import failures
from modelstack.rollout.core.plan import ERRORS
from modelstack.rollout.judge.metrics import Metric, Tally
from modelstack.rollout.judge.verdict import Findings, judge
from modelstack.rollout.kinds import Kind
from modelstack.services import custom_metrics
from modelstack.services.batches import quality
from modelstack.services.counters import CountedWindow, CountQuery
from modelstack.services.custom_metrics import deployed
from modelstack.services.signals import CountedSignals
from tests.services.labelled import Killed, World

METRICS = """
from modelstack.monitoring.custom import mean, rate

@rate(better="lower", margin=0.1, alarm=0.5)
def unsure(request, answer):
    return 0.3 < answer["p"] < 0.7

@mean(better="lower", margin=0.5, high=5)
def cost(request, answer, label):
    return 5 * (label and not answer["late"])
"""
SURE, DOUBT = ("a", False, 0.1), ("b", True, 0.6)


@pytest.fixture
def metrics(tmp_path: Path) -> CustomMetrics:
    (tmp_path / "metrics.py").write_text(METRICS)
    return load(tmp_path)


@pytest.fixture(params=[False, True], ids=["sent once", "repeatable"])
def world(request: pytest.FixtureRequest, metrics: CustomMetrics) -> World:
    return World(repeatable=request.param, custom=metrics)


def published(world: World, name: str) -> str:
    return next(one.published for one in world.custom.each.values() if one.name == name)


def shown(world: World, variant: str = "v-a") -> Mapping[str, Mapping[str, object]]:
    found = quality(world.documents, variant)
    assert found is not None
    return found["custom"]


def test_each_captured_answer_counts_once_of_its_variant_and_trial(world: World) -> None:
    unsure = published(world, "unsure")
    for key in (world.captured("v-a", SURE, DOUBT, (None, True, 0.5)), world.captured("v-b", DOUBT)):
        world.deliver(key, key)
    world.deliver(world.captured("v-a", DOUBT, ago=60))
    assert world.seen(unsure, "v-a") == (4, 3)
    assert world.seen(unsure, "v-a", "000002-b") == (3, 2)
    assert world.seen(f"{unsure}Squared", "v-b", "000002-b") == (1, 1)
    assert world.seen(f"{unsure}Failed", "v-a") == (0, 0)
    assert world.seen(published(world, "cost"), "v-a") == (0, 0), "its label has not come"


@pytest.mark.parametrize("answers_first", [True, False])
def test_a_metric_with_a_label_counts_each_pair_once_whichever_comes_first(world: World, answers_first: bool) -> None:
    answers = world.captured("v-a", ("x", False, 0.2), ("y", True, 0.8))
    truth = world.labelled(("x", True), ("y", True))
    for key in ((answers, truth) if answers_first else (truth, answers)) * 2:
        world.deliver(key)
    cost = published(world, "cost")
    assert world.seen(cost, "v-a", "000002-b") == (2, 5)
    assert world.seen(f"{cost}Squared", "v-a", "000002-b") == (2, 25)
    assert world.seen("Accuracy", "v-a", "000002-b") == (2, 1), "the losses are what they were"


def test_a_request_waits_for_its_label_and_no_longer(world: World) -> None:
    def stored() -> str:
        return json.dumps(world.documents.get(["id#x"])["id#x"].body)

    world.deliver(world.captured("v-a", ("x", False, 0.2345)))
    assert json.loads(stored())["answers"]["v-a"]["rows"] == [[{}, {"late": False, "p": 0.2345}]]
    world.deliver(world.labelled(("x", True)))
    assert json.loads(stored())["answers"]["v-a"]["rows"] is None
    without = World(custom=CustomMetrics())
    without.deliver(without.captured("v-a", ("x", False, 0.2345)))
    assert without.documents.get(["id#x"])["id#x"].body["answers"]["v-a"]["rows"] is None, "nobody needs it"


def test_an_answer_from_before_the_metric_does_not_count_and_is_no_failure(world: World) -> None:
    declared, world.custom = world.custom, CustomMetrics()
    world.deliver(world.captured("v-a", ("x", False, 0.2)))
    world.custom = declared
    world.deliver(world.labelled(("x", True)))
    assert world.seen(published(world, "cost"), "v-a") == (0, 0)
    assert world.seen(f"{published(world, 'cost')}Failed", "v-a") == (0, 0)


def test_an_answer_that_is_too_large_to_wait_for_its_label_is_a_failure_and_joined_all_the_same(world: World) -> None:
    world.deliver(
        world.captured("v-a", ("x", [(True, 0.123456789)] * 1500, None)), world.labelled(("x", [True] * 1500))
    )
    assert world.seen("Accuracy", "v-a", "000002-b") == (1500, 1500)
    assert world.seen(f"{published(world, 'cost')}Failed", "v-a", "000002-b") == (1, 1)
    assert "too large to wait" in str(shown(world)["cost"]["why"])


def test_a_function_that_fails_is_counted_and_named_and_the_others_go_on(world: World) -> None:
    unsure = published(world, "unsure")
    world.deliver(world.captured("v-a", ("x", True, "soon"), SURE, DOUBT), world.labelled(("x", True), ("a", False)))
    assert world.seen(unsure, "v-a", "000002-b") == (2, 1)
    assert world.seen(f"{unsure}Failed", "v-a", "000002-b") == (1, 1)
    assert world.seen(published(world, "cost"), "v-a", "000002-b") == (2, 0)
    found = shown(world)["unsure"]
    assert (found["values"], found["failed"], found["interval"]) == (2, 1, None)
    assert str(found["why"]).startswith("TypeError: '<' not supported between instances of 'float' and 'str'")
    assert str(found["why"]).endswith("(monitoring/metrics.py:6)")


def test_the_newest_values_are_published_with_their_interval_and_the_alarms_evidence(world: World) -> None:
    unsure = published(world, "unsure")
    world.deliver(world.captured("v-a", *[(f"{n}", True, 0.5) for n in range(60)], *[(None, True, 0.9)] * 20))
    world.sweep()
    assert world.last(f"{unsure}Recent") == 0.75
    assert 0.6 < world.last(f"{unsure}RecentLow") < 0.75 < world.last(f"{unsure}RecentHigh") < 0.9
    # n KL(0.75 || 0.5) / 15
    assert world.last(f"{unsure}Evidence") == pytest.approx(80 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 15)
    assert shown(world)["unsure"]["interval"] == [
        world.last(f"{unsure}{end}") for end in ("Recent", "RecentLow", "RecentHigh")
    ]


def test_fewer_than_thirty_values_are_not_enough_data(world: World) -> None:
    world.deliver(world.captured("v-a", *[(None, True, 0.5)] * 29))
    world.sweep()
    assert not [one for one in world.metrics.data if one.name.startswith("unsure")]
    assert (shown(world)["unsure"]["values"], shown(world)["unsure"]["interval"]) == (29, None)


def test_a_changed_definition_begins_with_nothing_and_the_old_one_is_forgotten(world: World, tmp_path: Path) -> None:
    world.deliver(world.captured("v-a", *[(None, True, 0.5)] * 40))
    world.sweep()
    before = published(world, "unsure")
    (tmp_path / "metrics.py").write_text(METRICS.replace("0.3", "0.4"))
    world.custom = load(tmp_path)
    world.deliver(world.captured("v-a", *[(None, True, 0.5)] * 3))
    world.sweep()
    assert published(world, "unsure") != before
    assert world.seen(published(world, "unsure"), "v-a", "000002-b") == (3, 3)
    assert shown(world)["unsure"]["values"] == 3
    assert before not in json.dumps(world.documents.get(["quality#v-a"])["quality#v-a"].body)


@pytest.mark.parametrize("kill_after", range(0, 30, 3))
def test_a_call_that_is_killed_counts_nothing_twice(kill_after: int, metrics: CustomMetrics) -> None:
    world = World(repeatable=True, custom=metrics, kill_after=kill_after)
    key, truth = world.captured("v-a", SURE, DOUBT), world.labelled(("a", True), ("b", True))
    try:
        world.deliver(key, truth)
    except Killed:
        world.kill_after = None
    world.kill_after = None
    world.deliver(key, truth)
    world.sweep()
    assert world.seen(published(world, "unsure"), "v-a", "000002-b") == (2, 1)
    assert world.seen(published(world, "cost"), "v-a", "000002-b") == (2, 5)
    assert shown(world)["cost"]["values"] == 2


def test_a_worker_with_other_definitions_computes_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: CustomMetrics
) -> None:
    monkeypatch.setattr(custom_metrics, "PLACE", tmp_path)
    deployed.cache_clear()
    assert deployed("") == CustomMetrics()
    assert deployed(metrics.digest) == metrics
    problem = f"this worker has definitions {metrics.digest}, and the stack declares 1234"
    assert deployed("1234") == CustomMetrics(problem=problem)
    world = World(custom=deployed("1234"))
    world.deliver(world.captured("v-a", SURE))
    world.sweep()
    found = quality(world.documents, "v-a")
    assert found is not None
    assert (found["custom"], found["custom_problem"]) == ({}, problem)
    deployed.cache_clear()


# What the judge makes of it.

UNSURE = Metric("unsure", "rate", 0.1, prove=False, namespace="modelstack", metric="unsure_1a2b", expected=True)


@dataclass
class Platform:
    """Counters with the tallies of both variants per window; those that failed by a name of their own."""

    champion: Mapping[str, Tally]
    challenger: Mapping[str, Tally]
    queries: list[CountQuery] = field(default_factory=list[CountQuery])

    def counts(self, query: CountQuery) -> Sequence[CountedWindow]:
        self.queries.append(query)
        both = {"v-a": self.champion, "v-b": self.challenger}
        return [CountedWindow(at, both) for at in range(*query.grid, query.seconds)]

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile | None:
        return None

    def cut(self, latency: float) -> float | None:
        return latency

    def captured(self) -> float:
        return 1.0


def judged(champion: Mapping[str, Tally], challenger: Mapping[str, Tally], metric: Metric = UNSURE) -> Findings:
    errors = {"errors": Tally(50, 0)}
    platform = Platform({**errors, **champion}, {**errors, **challenger})
    asked = SignalQuery("v-a", "v-b", "r", 0, 900, 60, (ERRORS, metric))
    found = CountedSignals(platform).read(asked)
    assert [one.metric for one in platform.queries[0].metrics] == ["unsure_1a2b", "unsure_1a2bFailed"]
    return judge(found.windows or (), metrics=(ERRORS, metric), alpha=0.05)


FAILED = failures([UNSURE])["unsure"].name


def test_a_challenger_that_is_worse_by_the_metric_alone_is_worse() -> None:
    found = judged({"unsure": Tally(50, 5)}, {"unsure": Tally(50, 30)})
    assert (found.answer, found.reason.name) == ("worse", "unsure")
    assert "unsure worse by more than 10.00%: 60.00% of 750, 10.00% of the champion's 750" in found.reason.text


def test_one_that_is_as_good_is_not_worse_and_the_promotion_waits_for_its_first_value() -> None:
    assert judged({"unsure": Tally(50, 5)}, {"unsure": Tally(50, 5)}).answer == "not worse"
    nothing = judged({"unsure": Tally(50, 5)}, {})
    assert (nothing.answer, nothing.reason.kind, nothing.reason.name) == ("unknown", Kind.NO_DATA, "unsure")
    late = judged({"unsure": Tally(50, 5)}, {}, replace(UNSURE, expected=False))
    assert (late.answer, late.reason.facts["absent"]) == ("not worse", ["unsure"]), "labels may never come"


@pytest.mark.parametrize("who", ["champion", "challenger"])
def test_nobody_is_promoted_while_a_function_fails_in_the_trial(who: str) -> None:
    good = {"unsure": Tally(50, 5)}
    failing = {**good, FAILED: Tally(1, 1.0)}
    found = judged(failing if who == "champion" else good, failing if who == "challenger" else good)
    assert (found.answer, found.reason.kind) == ("unknown", Kind.OUT_OF_RANGE)
    assert f"not known: unsure: its function failed for 1 of the {who}'s answers in one window" in found.reason.text
    assert "windows like this: 15" in found.reason.text


def test_another_metric_may_still_roll_back_while_a_function_fails() -> None:
    bad = {"errors": Tally(50, 30), "unsure": Tally(49, 5), FAILED: Tally(1, 1.0)}
    found = judged({"unsure": Tally(50, 5)}, bad)
    assert (found.answer, found.reason.name) == ("worse", "errors")
