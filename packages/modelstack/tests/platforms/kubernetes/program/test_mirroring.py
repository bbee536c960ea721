from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from modelstack.platforms.kubernetes.program import mirroring
from modelstack.platforms.kubernetes.program.mirroring import AGAIN, ANYWAY, Mirroring
from modelstack.platforms.kubernetes.rounds import Rounds
from modelstack.records.tracking.api import opened
from modelstack.records.tracking.connection import bearer
from modelstack.records.tracking.logged import log_build
from modelstack.rollout.core.errors import Unreachable
from modelstack.rollout.core.state import RolloutState
from tests.records.tracking.small_mlflow import SmallMlflow, small_mlflow
from tests.records.tracking.test_mirror import SHELF, api, build, manifest
from tests.rollout.worlds import served

NAME = SHELF.model


@pytest.fixture
def known() -> Iterator[SmallMlflow]:
    with small_mlflow() as made:
        yield made


@dataclass
class Namespace:
    known: SmallMlflow
    state: RolloutState = field(default_factory=lambda: served().state)
    seconds: float = 1000.0
    reads: int = 0

    def __post_init__(self) -> None:
        opens = partial(opened, self.known.url, bearer({}), 2.0)
        self.mirroring = Mirroring(
            opens,
            revision=lambda _: self.state.revision,
            read=self.read,
            manifest=manifest,
            today=lambda: self.state.started_at,
            now=lambda: self.seconds,
        )

    def read(self, _: str) -> RolloutState:
        self.reads += 1
        return self.state

    def look(self) -> list[bool]:
        return [self.mirroring.run(name) for name in self.mirroring.due([NAME])]


def test_an_endpoint_is_told_of_when_it_changes_and_seldom_when_it_does_not(known: SmallMlflow) -> None:
    there = Namespace(known)
    log_build(api(known), build("a"), SHELF)
    assert there.look() == [True]
    assert known.models[NAME]["aliases"] == {"champion": "1"}
    assert there.look() == [], "nothing has changed"
    there.state = there.state.written()
    assert there.look() == [True]
    known.models[NAME]["aliases"].clear()
    there.seconds += ANYWAY
    assert there.look() == [True]
    assert known.models[NAME]["aliases"] == {"champion": "1"}, "somebody had changed it"


def test_after_an_outage_and_while_a_build_is_not_known_it_is_told_again(known: SmallMlflow) -> None:
    there = Namespace(known)
    known.fails_at = 0
    assert there.look() == [False]
    assert there.look() == [], "it is not asked all the time"
    there.seconds += AGAIN
    assert there.look() == [True], "nobody has told of the build yet"
    log_build(api(known), build("a"), SHELF)
    there.seconds += AGAIN
    assert there.look() == [True]
    assert known.models[NAME]["aliases"] == {"champion": "1"}


def test_a_journal_that_cannot_be_read_changes_nothing(known: SmallMlflow) -> None:
    def lost(_: str) -> RolloutState:
        raise Unreachable("the API server does not answer")

    there = Namespace(known)
    there.mirroring.read = lost
    assert there.look() == [True]
    assert known.calls == []


@pytest.mark.slow
def test_only_the_process_that_leads_tells_anything(known: SmallMlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirroring, "LOOK", 0.01)
    for leads in (False, True):
        there, stopping = Namespace(known), threading.Event()
        ended = threading.Timer(0.2, stopping.set)
        ended.start()
        there.mirroring.follow(Rounds(lambda: [NAME], lambda leads=leads: leads, stopping))
        assert there.reads == int(leads)
