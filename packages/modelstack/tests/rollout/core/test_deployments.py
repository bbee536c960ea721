"""What served an endpoint, by its audit record."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from modelstack.records.audit.record import RecordKind
from modelstack.rollout.core.deployments import Difference, at, deployments, differences, latest
from modelstack.rollout.reason import Reason
from tests.rollout.worlds import ALARM, PLAN, challenge, challenged, release, served
from tests.simulator.platform import World

ADA = Reason("person", "ada", "looks odd")
BIG = {"instance_type": "ml.m5.large", "instance_count": 3}


def found(world: World) -> list[tuple[str, bool]]:
    return [(one.release, one.until is None) for one in deployments(world.records)]


def test_each_release_that_became_champion_is_a_deployment_until_the_next_one() -> None:
    world = challenged(seconds=900)
    first, second = deployments(world.records)
    assert (first.release, first.package, first.recipe) == ("a", "sha256:a", "a-recipe")
    assert first.image == "registry/serving:1"
    assert (second.release, second.until) == ("b", None)
    assert first.until == second.since > first.since
    assert world.records[second.record - 1].what["event"] == "promoted"
    assert first.since == datetime.fromisoformat(world.records[1].time).timestamp()


def test_a_release_that_was_rolled_back_has_not_served() -> None:
    world = challenged()
    world.controller().roll_back(ALARM, variant="v-b")
    world.controller().follow(60)
    assert found(world) == [("a", True)]


def test_a_champion_that_was_brought_back_serves_again() -> None:
    world = challenged(seconds=900)
    world.controller().roll_back(ADA)
    world.controller().follow(60)
    assert found(world) == [("a", False), ("b", False), ("a", True)]
    again = latest(deployments(world.records), "a")
    assert again is not None
    assert (again.package, again.until) == ("sha256:a", None)


def test_a_champion_that_was_brought_back_is_served_with_what_it_had_and_not_with_what_was_only_begun() -> None:
    world = challenged(seconds=900)
    world.controller().roll_back(ADA)
    world.controller().follow(60)
    *records, back = world.records
    (first,) = [one for one in records if one.kind is RecordKind.PROMOTION and one.what["release"] == "a"]
    begun = replace(first, kind=RecordKind.RELEASE, what={**first.what, "event": "moving", "serving": BIG})
    again = deployments([*records, begun, back])[-1]
    assert (again.release, again.serving, again.record, again.until) == ("a", {}, back.number, None)


def test_the_deployment_at_a_time_is_that_which_served_then() -> None:
    all_of_them = deployments(challenged(seconds=900).records)
    first, second = all_of_them
    assert at(all_of_them, first.since - 1) is None
    assert at(all_of_them, first.since) == first
    assert at(all_of_them, second.since - 0.5) == first
    assert at(all_of_them, second.since + 1e9) == second
    assert latest(all_of_them, "c") is None


def test_what_a_release_was_served_with_is_part_of_it_and_other_instances_are_another_deployment() -> None:
    world = served()
    larger = replace(release("a"), config_name="solo-a-large", instances="3 x ml.m5.large", serving=BIG)
    world.controller().release(larger, None, PLAN)
    world.controller().follow(60)
    first, second = deployments(world.records)
    assert (first.release, second.release) == ("a", "a")
    assert (first.serving, second.serving) == ({}, BIG)


def test_a_record_that_had_no_room_for_digests_takes_those_of_the_same_release() -> None:
    *before, last = challenged(seconds=900).records
    assert last.kind is RecordKind.PROMOTION
    kept = {name: last.what[name] for name in ("event", "rollout", "release")}
    records = [*before, replace(last, what={**kept, "shortened": True})]
    assert [one.package for one in deployments(records)] == ["sha256:a", "sha256:b"]
    assert [one.release for one in deployments(records[:2] + records[-1:])] == ["a"], "nothing tells what b is"


def test_only_what_is_otherwise_is_a_difference() -> None:
    world = served()
    challenge(world, seconds=900)
    first, second = deployments(world.records)
    champion = world.state.champion
    assert champion is not None
    assert differences(second, champion) == ()
    (package,) = differences(first, champion)
    assert package == Difference("package", "sha256:a", "sha256:b")
    larger = replace(champion, serving={**BIG, "instance_count": 1})
    was = replace(second, serving=BIG)
    assert differences(was, larger) == (Difference("instance_count", 3, 1),)
    assert differences(was, champion)[0].now is None, "not kept of a release from before"
