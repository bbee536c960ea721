"""The chain from a prediction's id to the person who released its version, and what is said when there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from modelstack.cli.errors import OperatorError
from modelstack.cli.trace.answer import Trace, share_of, trace
from modelstack.cli.trace.render import render
from modelstack.cli.trace.resolve import Resolved, resolve
from modelstack.cli.view.times import when
from modelstack.monitoring.predictions import EVER, Prediction, Searched, Window
from modelstack.records.audit.record import RecordKind
from modelstack.records.lineage.facts import Stack
from modelstack.records.lineage.package import lineage
from modelstack.records.provenance.facts import Builder
from modelstack.rollout.core.event import Event
from modelstack.rollout.kinds import Kind
from modelstack.rollout.reason import Reason
from tests.cli.played import printed
from tests.records.lineage.recorded import (
    ADA,
    ADVANCE,
    CI,
    DEV,
    DIGEST,
    HERE,
    OTHER,
    OURS,
    RETRAINERS,
    THEIRS,
    at,
    graph,
    records,
    retrained,
)
from tests.records.provenance.conftest import FACTS, UNKNOWN

ENDPOINT = "flight-delay-dev"
BEGUN = 1_700_000_000.0


def given(second: float, release: str = OURS, event: str = "e-1", inference: str = "order-17") -> Prediction:
    return Prediction(f"v-{release}", event, inference, BEGUN + second)


def step(second: float, kind: str = "weights", **numbers: float) -> Event:
    return Event(BEGUN + second, "r-8e", kind, OURS, numbers=numbers)


def chain(second: float, *stacks: Stack, history: Sequence[Event] = (), facts: Any = FACTS) -> Trace:
    found = Resolved(given(second), copied=False, others=())
    return trace(found, ENDPOINT, history, graph(*(stacks or (DEV,))), facts)


def shown(found: Trace) -> str:
    return " ".join(printed(render(found, "modelstack")).split())


def meant(*exact: Prediction, history: Sequence[Event] = (), **found: Any) -> Resolved:
    return resolve(
        "order-17",
        Searched(exact, **found),
        lambda one: "copies" in share_of(history, one),
        endpoint="flight-delay-dev",
        command="modelstack",
        window=EVER,
    )


def test_an_answer_leads_to_version_rollout_package_data_commit_and_whoever_released_it() -> None:
    found = chain(40)
    assert (found.role, found.release, found.package) == ("champion", OURS, DIGEST)
    assert found.version == {"name": "flight-delay-dev version 3", "approval": "Approved", "image": HERE.image}
    assert found.rollout == {"id": "r-8e", "began": at(21), "outcome": "rolled back"}
    assert [(one.did, one.who, one.at) for one in found.people if one.at <= at(31)] == [
        ("registered", CI, at(10)),
        ("agreed", ADA, at(20)),
        ("began", CI, at(21)),
        ("ended", ADVANCE, at(31)),
    ]
    assert found.data["sha256"] == FACTS.recipe.data
    assert [one["sha256"] for one in found.data["files"]] == ["2" * 64, "3" * 64]
    assert found.commit == {"commit": "1" * 40, "dirty": False, "remote": "https://git.example/team/flights"}
    assert found.made == {"by": "local", "execution": "", "at": FACTS.builder.finished}


@pytest.mark.parametrize(
    ("second", "role"), [(25, "challenger"), (31, "challenger"), (40, "champion"), (54, "champion"), (57, "")]
)
def test_what_a_version_was_is_told_of_the_moment_of_the_answer(second: float, role: str) -> None:
    assert chain(second).role == role


def test_a_trial_of_the_same_package_in_another_image_is_none_of_this_version() -> None:
    (begun,) = records("dev", (35, RecordKind.RELEASE, CI, "preparing", OURS, {"rollout": "r-other", "champion": OURS}))
    other = replace(begun, what={**begun.what, "release": "0" * 12})
    assert chain(40, replace(DEV, records=(*DEV.records, other))).role == "champion"


def test_of_two_rollouts_of_a_release_the_one_before_the_answer_is_told() -> None:
    again = records(
        "dev",
        (70, RecordKind.RELEASE, CI, "preparing", OURS, {"champion": THEIRS, "rollout": "r-9"}),
        (80, RecordKind.PROMOTION, ADVANCE, "promoted", OURS, {"rollout": "r-9"}),
    )
    stack = replace(DEV, records=(*DEV.records, *again))
    assert [chain(second, stack).rollout["id"] for second in (40, 75, 90)] == ["r-8e", "r-9", "r-9"]
    assert chain(10, stack).rollout == {}, "none had begun"


@pytest.mark.parametrize(("second", "returned"), [(40, False), (54, True), (70, True)])
def test_that_a_version_served_again_in_place_of_a_later_one_is_told_with_the_reason(
    second: float, returned: bool
) -> None:
    reason = Reason("person", "bob", "customers complain", kind=Kind.TAKEN_BACK)
    history = [
        Event(BEGUN + 15, "r-1", "rolled_back", THEIRS, champion=OURS, reason=reason),  # before its last rollout
        Event(BEGUN + 45, "r-9", "rolled_back", THEIRS, reason=reason),  # a trial of it, which changed nothing here
        Event(BEGUN + 50, "r-99", "restoring", THEIRS, champion=OURS, reason=reason),
        Event(BEGUN + 53, "r-99", "rolled_back", THEIRS, champion=OURS, reason=reason),
    ]
    found = chain(second, history=history)
    why = f"{THEIRS} was taken back: {reason.text}"
    assert found.returned == ({"at": f"{at(53)}", "why": why} if returned else {})
    assert (f"served again {when(at(53))}: {why}" in shown(found)) == returned


def test_another_image_of_the_same_package_is_another_release() -> None:
    other = replace(HERE, arn=HERE.arn + "0", release="0" * 12, image="registry/serving:2", created=at(60))
    assert chain(40, replace(DEV, versions=(HERE, other))).version["image"] == "registry/serving:1"


def test_what_else_an_engine_names_is_told_as_it_is() -> None:
    @dataclass(frozen=True)
    class Named(Builder):
        step: str | None = None

    builder = Named("urn:modelstack:builder:other", "run-7", "2026", step="train")
    found = chain(40, facts=replace(FACTS, builder=builder))
    assert found.made == {"by": "other", "execution": "run-7", "at": "2026", "step": "train"}
    assert "made by other, execution run-7, step train, 2026 data" in shown(found)


@pytest.mark.parametrize("builder", RETRAINERS)
def test_of_a_retrained_version_it_is_told_who_wanted_it_and_whose_code_it_has(builder: Builder) -> None:
    stack, facts = retrained(builder)
    found = trace(Resolved(given(40), copied=False, others=()), ENDPOINT, (), lineage(DIGEST, facts, [stack]), facts)
    assert [(one.did, one.why) for one in found.people if one.did.startswith("training")] == [
        ("training_asked", "flight-delay-dev-v-9-drift"),
        ("training_approved", "by ada: new destinations"),
        ("training_began", "flight-delay-dev-v-9-drift"),
    ]
    assert {**found.made, "retrained_from": OTHER, "retrained_through": "2013-06-16"} == found.made
    assert "its training agreed to by flight-delay-dev-retrain" in shown(found)
    assert "commit not known: its code is that of package 999999999999" in shown(found)
    assert "released by" not in shown(found), "who begins a training releases nothing"


def test_the_page_is_a_line_a_thing_and_ends_with_where_to_go_on() -> None:
    history = [step(21, "preparing"), step(24, percent=5, step=1)]
    page = printed(render(chain(25, history=history), "modelstack --stack dev")).splitlines()
    lines = dict(line.split("  ", 1) for line in page if line.split("  ", 1)[0])
    assert lines["by"].strip() == f"v-{OURS} on flight-delay-dev, on trial then (5% of the requests)"
    assert lines["rollout"].strip() == "r-8e, rolled back"
    assert "\n".join(page).count("released by") == 1
    assert lines["released by"].strip() == f"assumed-role/deploy/ci, {when(at(21))}"
    assert lines["commit"].strip() == f"{'1' * 40} of https://git.example/team/flights"
    assert lines["more"].strip() == f"modelstack --stack dev lineage {'a' * 12}"
    assert f"agreed to by user/ada, {when(at(20))}: looks well" in map(str.strip, page)
    assert f"ended by flight-delay-dev-advance, {when(at(31))}: promoted" in map(str.strip, page)


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    assert "commit not known" in shown(chain(40, facts=UNKNOWN))
    assert "made by not known: nothing is proven" in shown(chain(40, facts=None))
    lost = trace(Resolved(given(40), copied=False, others=()), ENDPOINT, ())
    assert f"{OURS}: neither audit record, journal nor registry" in shown(lost)
    unread = replace(lost, unread=("the registry does not answer",))
    assert f"{OURS}: nothing that was looked at knows" in shown(unread)
    assert "not looked at the registry does not answer" in shown(unread)


def test_a_copy_is_no_answer_that_somebody_got() -> None:
    history = [step(21, "preparing"), step(24, copies=50, step=1), step(40, percent=5, step=2), step(60, "promoted")]
    answer, copy = given(25, THEIRS, "e-1"), given(25, OURS, "e-2")
    assert meant(copy, answer, history=history) == Resolved(answer, copied=False, others=(copy,))
    alone = meant(copy, history=history)
    assert (alone.prediction, alone.copied) == (copy, True)
    found = trace(alone, ENDPOINT, history, graph(DEV), FACTS)
    assert (found.role, found.percent) == ("copy", 50)
    assert "nobody got that answer (50% were copied)" in shown(found)


@pytest.mark.parametrize(
    ("second", "share"),
    [
        (19, {}),
        (22, {"copies": 50}),  # before the endpoint confirmed the first step
        (38, {"copies": 50}),
        (41, {"percent": 5}),
        (58, {"percent": 5}),
        (61, {}),
    ],
)
def test_the_share_is_that_of_the_step_under_way(second: float, share: dict[str, float]) -> None:
    between = [step(41, "pivots"), step(45, "held"), step(50, "approved")]
    history = [step(21, "preparing"), step(24, copies=50), step(40, percent=5), *between, step(60, "promoted")]
    assert share_of(history, given(second)) == share
    assert share_of([*history, step(90, "preparing")], given(second)) == share


def test_a_request_that_two_versions_answered_is_refused_with_the_events_to_choose_from() -> None:
    with pytest.raises(OperatorError, match=r"was answered by 2 versions: .*event e-2.*event e-1") as refused:
        meant(given(25, THEIRS, "e-1"), given(26, OURS, "e-2"))
    assert refused.value.hint is not None
    assert "modelstack trace e-2" in refused.value.hint


def test_a_request_that_one_version_answered_twice_is_the_last_one() -> None:
    first, last = given(25, event="e-1"), given(35, event="e-2")
    assert meant(first, last) == Resolved(last, copied=False, others=(first,))


def test_a_beginning_that_several_ids_have_is_refused_and_of_one_id_it_is_meant() -> None:
    one, other = given(25, inference="order-17a"), given(26, event="e-2", inference="order-17b")
    assert meant(begun=(one,)).prediction == one
    with pytest.raises(OperatorError, match=r"order-17 begins the ids of several predictions: order-17a, order-17b"):
        meant(begun=(one, other))


@pytest.mark.parametrize(
    ("found", "window", "said"),
    [
        ({"percent": 10.0, "oldest": BEGUN}, EVER, ["of 100 requests 10 are", "the oldest capture is of 2023-11-14"]),
        ({"percent": 0.0}, EVER, ["nothing is captured", "no capture is kept yet"]),
        ({"percent": 100.0, "oldest": BEGUN}, Window(BEGUN), ["leave --at and --since out", "with --stack"]),
    ],
)
def test_of_an_id_that_is_not_found_it_is_said_where_was_looked_and_what_may_be_the_reason(
    found: dict[str, Any], window: Window, said: list[str]
) -> None:
    searched = Searched(places=("the ledger", "7 files of captures"), unread=("AccessDenied",), **found)
    with pytest.raises(OperatorError) as refused:
        resolve("ord", searched, lambda _: False, endpoint="flight-delay-dev", command="modelstack", window=window)
    told = f"{refused.value}\n{refused.value.hint}"
    since = f", since {when(BEGUN)}" if window.bounded else ""
    assert f"Looked into: the ledger and 7 files of captures{since}. Not looked at: AccessDenied" in told
    assert [one for one in (*said, "that takes at least 4 characters") if one not in told] == []
    assert ("was not captured" in told) == (found["percent"] == 10)


def test_the_champion_before_a_restore_and_after_it_is_told_from_the_record() -> None:
    theirs = lineage(OTHER, None, [replace(DEV, versions=())])
    answers = [Resolved(given(second, THEIRS), copied=False, others=()) for second in (10, 40, 58)]
    found = [trace(answer, ENDPOINT, (), theirs).role for answer in answers]
    assert found == ["champion", "", "champion"]
