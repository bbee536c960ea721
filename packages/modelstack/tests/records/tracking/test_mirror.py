"""What MLflow is told of builds and rollouts: once, whole, whatever fails in between, and nothing but the truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

import pytest

from modelstack.records.provenance.facts import SealedArchive
from modelstack.records.tracking.api import Api, Batch
from modelstack.records.tracking.build import Build
from modelstack.records.tracking.connection import Connection, Silent, bearer
from modelstack.records.tracking.course import courses
from modelstack.records.tracking.logged import Shelf, log_build
from modelstack.records.tracking.mirror import SETTLED, WEIGHT, mirror
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from tests.records.provenance.conftest import FACTS, UNKNOWN
from tests.records.tracking.small_mlflow import SmallMlflow, small_mlflow
from tests.rollout.worlds import PERSON, PLAN, challenge, challenged, release, served

MODEL = "flight-delay-local"
SHELF = Shelf("flights", MODEL)


@pytest.fixture
def known() -> Iterator[SmallMlflow]:
    with small_mlflow() as made:
        yield made


def api(known: SmallMlflow, seconds: float = 10) -> Api:
    return Api(Connection.to(known.url, bearer({}), seconds))


def build(name: str) -> Build:
    facts = replace(FACTS, package=SealedArchive(f"sha256:{name}", 1, "b" * 64))
    uri = f"s3://bucket/{name}/model.tar.gz"
    return Build.of(facts, archive_uri=uri, version=f"arn:{name}", card=b"# A card", release=name)


def builds(known: SmallMlflow, names: str) -> None:
    for name in names:
        log_build(api(known), build(name), SHELF)


def mirrored(known: SmallMlflow, state: RolloutState, after: float = 10) -> tuple[str, ...]:
    """The result of the mirror, so many seconds after the rollout began."""
    return mirror(api(known), SHELF, state, manifest, state.started_at + after)


def manifest(release: Release) -> bytes:
    return json.dumps({"parameters": FACTS.recipe.parameters, "of": release.id}).encode()


@cache
def rolled_back() -> RolloutState:
    world = challenged(seconds=15)
    world.controller().roll_back(PERSON)
    world.controller().follow(100, poll=1)
    return world.state


@cache
def promoted(*later: str) -> RolloutState:
    """Release b was promoted, then each later one after the one before."""
    world = challenged(seconds=600)
    for before, name in zip(("b", *later), later, strict=False):
        world.controller().release(release(name), f"pair-{before}{name}", PLAN, beside=f"solo-{before}")
        world.controller().follow(600, poll=1)
    return world.state


# --- builds


def test_a_build_is_a_run_with_all_that_was_signed_and_a_version_whose_source_is_the_archive(
    known: SmallMlflow,
) -> None:
    log_build(api(known), build("a"), SHELF)
    run, (version,) = known.one_run(), known.models[MODEL]["versions"]
    assert (run["name"], run["status"]) == ("8ead519c468b", "FINISHED")
    assert run["params"] == {
        "max_iter": "80", "learning_rate": "0.1", "refit": "false", "train_until": "2013-03-01",
    }  # fmt: skip
    assert {(key, value) for key, value, _, _ in run["metrics"]} == {
        ("auc", 0.706), ("log_loss", 0.4876), ("log_loss_low", 0.483), ("log_loss_high", 0.492),
    }  # fmt: skip
    assert {at for _, _, at, _ in run["metrics"]} == {1_795_867_200_000}
    assert run["tags"]["package_digest"] == version["tags"]["package_digest"] == "sha256:a"
    assert run["tags"]["recipe"] == version["tags"]["recipe"] == FACTS.recipe.digest
    assert run["tags"]["mlflow.source.git.commit"] == "1" * 40
    assert run["tags"]["changed_since_commit"] == "no"
    assert run["tags"]["mlflow.note.content"] == "# A card"
    (dataset,) = run["inputs"].values()
    assert dataset["dataset"]["digest"] == "e" * 32
    assert json.loads(dataset["dataset"]["source"])["files"][0]["sha256"] == "2" * 64
    assert sorted(known.artifacts) == ["1/run0/artifacts/card.md", "1/run0/artifacts/metrics.json"]
    assert json.loads(known.artifacts["1/run0/artifacts/metrics.json"])[1]["interval"]["low"] == 0.483
    assert (version["source"], version["run_id"]) == ("s3://bucket/a/model.tar.gz", "run0")
    assert known.experiments == {"flights": "1"}


def test_a_build_of_which_next_to_nothing_is_known_can_be_told(known: SmallMlflow) -> None:
    log_build(api(known), Build.of(UNKNOWN, archive_uri="oci://h/r@sha256:a", version="n/m", card=None), SHELF)
    run = known.one_run()
    assert "mlflow.source.git.commit" not in run["tags"] and not run["metrics"] and not [
        name for name in known.artifacts if name.endswith("card.md")
    ]  # fmt: skip


def test_more_parameters_than_one_call_takes_are_all_logged(known: SmallMlflow) -> None:
    many = replace(FACTS, recipe=replace(FACTS.recipe, parameters={f"p{at}": at for at in range(230)}))
    log_build(api(known), Build.of(many, archive_uri="s3://b/a", version="v", card=None), SHELF)
    assert len(known.one_run()["params"]) == 230


def one_build(known: SmallMlflow) -> None:
    log_build(api(known), build("a"), SHELF)


def one_promotion(known: SmallMlflow) -> None:
    if not known.models:
        known.fails_at, later = None, known.fails_at
        builds(known, "ab")
        known.fails_at = later
        known.calls.clear()
    mirrored(known, promoted())


def an_outline_made_whole(known: SmallMlflow) -> None:
    mirrored(known, served().state, after=SETTLED + 1)
    log_build(api(known), build("a"), SHELF)


@pytest.mark.slow
@pytest.mark.parametrize("takes_it", [False, True], ids=["call lost", "answer lost"])
@pytest.mark.parametrize("told", [one_build, one_promotion, an_outline_made_whole])
def test_whatever_call_fails_the_next_attempt_ends_as_if_none_had(
    told: Callable[[SmallMlflow], object], takes_it: bool
) -> None:
    with small_mlflow() as whole:
        told(whole)
        told(whole)
    assert len(whole.calls) > 10
    for at, call in enumerate(whole.calls):
        with small_mlflow() as known:
            known.fails_at, known.takes_it = at, takes_it
            with pytest.raises(Silent):
                told(known)
                told(known)
            told(known)
            assert known.facts() == whole.facts(), call


# --- rollouts


def test_a_promotion_moves_the_alias_and_each_run_has_its_weights_and_its_verdict(known: SmallMlflow) -> None:
    builds(known, "ab")
    state = promoted()
    assert state.phase is Phase.IDLE and state.champion is not None and state.champion.id == "b"
    assert mirrored(known, state) == ()
    assert known.models[MODEL]["aliases"] == {"champion": "2"}
    told = sorted((at, value) for key, value, at, _ in known.runs["run1"]["metrics"] if key == WEIGHT)
    assert [value for _, value in told] == [0, 10, 50, 100]
    first, second = known.models[MODEL]["versions"]
    assert (first["tags"]["verdict"], second["tags"]["verdict"]) == ("promoted", "promoted")
    assert known.runs["run1"]["tags"]["rollout"] == state.rollout_id
    assert known.runs["run1"]["tags"]["why"] == state.verdict.reason.text
    assert courses(state)["sha256:a"].points[-1].weight == 0, "who served has no traffic any more"


def test_steps_rise_over_all_rollouts_of_a_version_as_the_highest_has_the_latest_value(known: SmallMlflow) -> None:
    builds(known, "abc")
    mirrored(known, promoted("c"))
    told = sorted((at, step, value) for key, value, at, step in known.runs["run1"]["metrics"] if key == WEIGHT)
    assert [value for _, _, value in told] == [0, 10, 50, 100, 90, 50, 0], "b was on trial, then c beside it"
    assert [step for _, step, _ in told] == sorted({step for _, step, _ in told})


def test_a_trial_is_told_as_it_goes_and_a_rollback_takes_the_challenger_away(known: SmallMlflow) -> None:
    builds(known, "ab")
    mirrored(known, challenged(seconds=15).state)
    assert known.models[MODEL]["aliases"] == {"champion": "1", "challenger": "2"}
    assert known.models[MODEL]["versions"][1]["tags"]["verdict"] == "on trial"
    state = rolled_back()
    mirrored(known, state)
    assert known.models[MODEL]["aliases"] == {"champion": "1"}
    tags = known.runs["run1"]["tags"]
    assert tags["verdict"] == "rolled back" and "ada" in tags["why"]
    assert [point.weight for point in courses(state)["sha256:b"].points] == [0, 10, 0]


def test_what_is_told_already_is_not_written_again(known: SmallMlflow) -> None:
    builds(known, "ab")
    mirrored(known, promoted())
    known.calls.clear()
    mirrored(known, promoted(), after=1000)
    assert [call for call in known.calls if not call.startswith("GET")] == []


def test_no_alias_names_a_version_that_does_not_serve_and_what_came_late_is_told_whole(known: SmallMlflow) -> None:
    state = promoted()
    assert mirrored(known, state) == ("sha256:b",), "there is not even a model"
    log_build(api(known), build("a"), SHELF)
    mirrored(known, served().state)
    assert known.models[MODEL]["aliases"] == {"champion": "1"}
    assert mirrored(known, state) == ("sha256:b",)
    assert known.models[MODEL]["aliases"] == {}, "a is champion no more, and b is not known yet"
    log_build(api(known), build("b"), SHELF)
    assert mirrored(known, state) == ()
    assert known.models[MODEL]["aliases"] == {"champion": "2"}
    assert 50 in {value for _, value, _, _ in known.runs["run1"]["metrics"]}


@pytest.mark.slow
def test_builds_that_are_told_when_others_serve_long_since_have_their_weights_and_verdicts_all_the_same(
    known: SmallMlflow,
) -> None:
    state = promoted("c", "d")
    assert [one.id for one in state.releases()] == ["d", "c"], "the journal does not know the packages of a and b"
    builds(known, "abcd")
    assert mirrored(known, state) == ()
    assert known.models[MODEL]["aliases"] == {"champion": "4"}
    assert [one["tags"]["verdict"] for one in known.models[MODEL]["versions"]] == ["promoted"] * 4
    for number in (1, 2):
        told = sorted((at, value) for key, value, at, _ in known.runs[f"run{number}"]["metrics"] if key == WEIGHT)
        assert [value for _, value in told] == [0, 10, 50, 100, 90, 50, 0]


def test_of_two_versions_of_one_package_the_older_one_counts(known: SmallMlflow) -> None:
    for _ in range(2):  # two updates at once, of which neither saw the other's
        of, one = api(known), build("a")
        of.model(MODEL)
        of.create_version(MODEL, one.source, of.create_run("1", one.name, 1, one.tags).id, one.tags, "")
    assert mirrored(known, served().state) == ()
    assert known.models[MODEL]["aliases"] == {"champion": "1"}


def test_a_champion_far_back_among_many_versions_is_found(known: SmallMlflow) -> None:
    builds(known, "acdef")
    assert mirrored(known, served().state) == ()
    assert known.models[MODEL]["aliases"] == {"champion": "1"}
    assert "GET model-versions/search" in known.calls


def test_a_release_that_is_tried_again_is_on_trial_again(known: SmallMlflow) -> None:
    world = challenged(seconds=15)
    world.controller().roll_back(PERSON)
    world.controller().follow(100, poll=1)
    world.controller().clear_rejection("b")
    challenge(world, seconds=15)
    told = courses(world.state)["sha256:b"].told
    assert (told["verdict"], told["rollout"]) == ("on trial", world.state.rollout_id)


def test_of_two_that_told_at_once_the_one_that_knew_less_does_not_have_the_last_word(known: SmallMlflow) -> None:
    builds(known, "ab")
    mirrored(known, promoted())
    stale = courses(challenged(seconds=15).state)["sha256:b"].told
    api(known).log("run1", Batch(tags=stale))  # by a call that had begun before
    assert known.runs["run1"]["tags"]["verdict"] == "on trial"
    mirrored(known, promoted())
    assert known.runs["run1"]["tags"]["verdict"] == "promoted"


def test_who_is_not_named_among_the_shares_any_more_has_none() -> None:
    """A release that takes over at once: the shares name it alone."""
    first = RolloutState("e", "000001-a", champion=release("a"), weights={"v-a": 100}).noting(1.0, "promoted", "a")
    taken = replace(first, rollout_id="000002-b", champion=release("b"), previous=release("a"), weights={"v-b": 100})
    found = courses(taken.noting(2.0, "promoted", "b"))
    assert {digest: [point.weight for point in course.points] for digest, course in found.items()} == {
        "sha256:a": [100, 0], "sha256:b": [100],
    }  # fmt: skip


def test_a_build_that_no_update_could_tell_of_is_outlined_by_a_tick_and_made_whole_by_the_next_update(
    known: SmallMlflow,
) -> None:
    state = served().state
    assert mirrored(known, state, after=SETTLED) == ("sha256:a",)
    assert known.models == {}, "the update may still be at it"
    assert mirrored(known, state, after=SETTLED + 1) == ()
    assert known.models[MODEL]["aliases"] == {"champion": "1"}
    run = known.one_run()
    assert (run["params"]["max_iter"], run["tags"]["package_digest"], run["inputs"]) == ("80", "sha256:a", {})
    assert known.models[MODEL]["versions"][0]["tags"]["told_by"] == "controller"
    log_build(api(known), build("a"), SHELF)
    run, (version,) = known.one_run(), known.models[MODEL]["versions"]
    assert version["tags"]["told_by"] == run["tags"]["told_by"] == "update" and version["tags"]["verdict"] == "promoted"
    assert run["inputs"] and run["tags"]["mlflow.source.git.commit"] == "1" * 40
    known.calls.clear()
    log_build(api(known), build("a"), SHELF)
    assert not [call for call in known.calls if "log" in call or "versions/create" in call]
