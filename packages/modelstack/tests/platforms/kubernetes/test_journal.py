from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelstack.platforms.kubernetes import journal as module
from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.answers import NotFound
from modelstack.platforms.kubernetes.journal import JournalCopy, KubernetesJournal
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP, ROLLOUT
from modelstack.rollout.core.errors import Conflict, RolloutError, Unreachable
from modelstack.rollout.core.state import Phase, RolloutState
from tests.platforms.kubernetes.world import ENDPOINT, World
from tests.rollout.worlds import release


@pytest.fixture
def journal(world: World) -> KubernetesJournal:
    return KubernetesJournal(world.api, ENDPOINT)


def write(journal: KubernetesJournal, state: RolloutState) -> RolloutState:
    after = state.written("ada")
    journal.put(after)
    return after


def idle(state: RolloutState) -> RolloutState:
    return replace(state, phase=Phase.IDLE, champion=release("a"), weights={"v-a": 100})


def test_what_was_written_is_read_back(world: World, journal: KubernetesJournal) -> None:
    after = write(journal, idle(journal.read()))
    assert after.revision == 1
    assert journal.read() == after
    status = world.api.get(ROLLOUT, ENDPOINT)["status"]
    shown = {name: status[name] for name in ("revision", "phase", "champion", "challenger", "weight")}
    assert shown == {"revision": 1, "phase": "idle", "champion": "v-a", "challenger": "", "weight": 0}


def test_a_rollout_that_was_never_declared_names_what_makes_it(world: World) -> None:
    with pytest.raises(NotFound, match="`pulumi up` of the stack makes it"):
        KubernetesJournal(world.api, "another").read()


def test_two_writers_in_the_same_moment_do_not_overwrite_each_other(world: World, journal: KubernetesJournal) -> None:
    read, put = journal.read(), world.api.replace_status
    beaten: list[RolloutState] = []

    def late(kind: Any, obj: Any) -> Any:
        if not beaten:
            beaten.append(read)
            beaten.append(write(KubernetesJournal(world.api, ENDPOINT), replace(read, phase=Phase.MOVING)))
        return put(kind, obj)

    world.api.replace_status = late  # type: ignore[method-assign]
    with pytest.raises(Conflict, match="moved on from revision 0 to 1"):
        write(journal, idle(read))
    assert journal.read() == beaten[1]


def test_two_writers_of_the_copy_in_the_same_moment_do_not_overwrite_each_other(world: World) -> None:
    first, later = RolloutState(ENDPOINT).written("ada"), RolloutState(ENDPOINT, revision=4).written("eve")
    JournalCopy(world.api, ENDPOINT).put(first)
    apply, raced = world.api.apply, list[int]()

    def late(*given: Any, **options: Any) -> Any:
        if not raced:
            raced.append(1)
            JournalCopy(world.api, ENDPOINT).put(later)
        return apply(*given, **options)

    world.api.apply = late  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        JournalCopy(world.api, ENDPOINT).put(first.written("ada"))
    assert JournalCopy(world.api, ENDPOINT).read() == later


def test_a_copy_that_somebody_deleted_is_made_again_with_an_event_and_a_first_one_without(world: World) -> None:
    copy, first = JournalCopy(world.api, ENDPOINT), RolloutState(ENDPOINT).written("ada")
    copy.put(first)
    copy.put(first.written("ada"))
    assert world.events() == []
    world.api.delete(CONFIG_MAP, names.journal_copy(ENDPOINT))
    copy.put(first.written("ada"))
    assert copy.read().revision == 2
    (event,) = world.events()
    assert (event["type"], event["reason"]) == ("Warning", "JournalCopyRestored")
    assert "It has revision 2 of it again" in event["message"]


def test_what_pulumi_writes_meanwhile_is_no_conflict_and_stays(world: World, journal: KubernetesJournal) -> None:
    read, put = journal.read(), world.api.replace_status
    raced: list[int] = []

    def late(kind: Any, obj: Any) -> Any:
        if not raced:
            raced.append(1)
            spec = {**world.api.get(ROLLOUT, ENDPOINT)["spec"], "periodSeconds": 30}
            world.api.apply(ROLLOUT, {"metadata": {"name": ENDPOINT}, "spec": spec}, names.PROGRAM)
        return put(kind, obj)

    world.api.replace_status = late  # type: ignore[method-assign]
    after = write(journal, idle(read))
    assert journal.read() == after
    assert world.api.get(ROLLOUT, ENDPOINT)["spec"]["periodSeconds"] == 30


@pytest.mark.parametrize("landed", [True, False])
def test_a_write_whose_answer_is_lost_is_looked_for(world: World, journal: KubernetesJournal, landed: bool) -> None:
    read, put = journal.read(), world.api.replace_status
    lost: list[int] = []

    def losing(kind: Any, obj: Any) -> Any:
        if lost:
            return put(kind, obj)
        lost.append(1)
        if landed:
            put(kind, obj)
        raise Unreachable("no answer")

    world.api.replace_status = losing  # type: ignore[method-assign]
    after = write(journal, idle(read))
    assert after.revision == 1
    assert journal.read() == after


def test_a_server_that_never_answers_is_unreachable(world: World, journal: KubernetesJournal) -> None:
    def silent(kind: Any, obj: Any) -> Any:
        raise Unreachable("no answer")

    world.api.replace_status = silent  # type: ignore[method-assign]
    with pytest.raises(Unreachable):
        write(journal, idle(journal.read()))


def test_a_state_that_etcd_would_not_take_is_refused_with_what_to_do(
    journal: KubernetesJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST", 1000)
    with pytest.raises(RolloutError, match=r"allowed are 1000, as etcd takes 1\.5 MiB .*clear rejected releases"):
        write(journal, idle(journal.read()))


def test_the_largest_state_that_is_allowed_can_be_stored(journal: KubernetesJournal) -> None:
    state = idle(journal.read())
    room = module.LARGEST - 10_000 - 2 * len(state.to_json())
    after = write(journal, replace(state, rollout_id="x" * (room // 2)))  # it stands there twice
    assert journal.read() == after
