"""Releases that were taken back keep no pods, and have them again when a rollout wants them again.

No Deployments' controller runs here: how many pods a Deployment is to have is what is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.journal import KubernetesJournal, copied_journal
from modelstack.platforms.kubernetes.kinds import DEPLOYMENT, POD
from modelstack.platforms.kubernetes.scaled_to_zero import scale_to_zero, unneeded
from modelstack.platforms.kubernetes.serving_config import ServingConfig
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.rollout.core.errors import Busy
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason
from tests.platforms.kubernetes.world import CRASH, ENDPOINT, IN_MEMORY, TestClock, World, on_both, pair, solo
from tests.rollout.worlds import release

NOW, HOUR = 100_000.0, 3600.0
PODS = 2
WORLDS = IN_MEMORY


def of(name: str) -> Release:
    return replace(release(name), config_name=f"w-{name}", serving={"instance_count": PODS})


def over(name: str, at: float = NOW - 2 * HOUR, kind: str = "rolled_back") -> Event:
    return Event(at, "000001", kind, name)


def state(*ended: Event, last: Event | None = None, **known: Release | Phase | None) -> RolloutState:
    """A journal at rest, unless it says otherwise: what serves is a."""
    verdict = None
    if last is not None:
        reason = Reason("alarm", "5xx", "fails")
        verdict = Verdict("rolled_back", reason, last.rollout_id, last.release, "recipe", "sha256:0", last.at)
    made = RolloutState(ENDPOINT, phase=Phase.IDLE, champion=of("a"), verdict=verdict, history=ended)
    return replace(made, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("journal", "idle"),
    [
        (state(over("b"), over("c")), {"v-b", "v-c"}),
        (state(over("b"), over("c", kind="failed"), over("d", kind="superseded")), {"v-b", "v-c", "v-d"}),
        (state(over("b"), last=over("b", NOW - HOUR / 2)), set()),
        (state(over("b"), over("c"), last=over("c", NOW - HOUR / 2)), {"v-b"}),
        (state(over("b"), last=over("b", NOW - 2 * HOUR)), {"v-b"}),
        (state(over("a", kind="promoted"), over("b", kind="promoted"), previous=of("b")), set()),
        (state(over("b"), challenger=of("b"), phase=Phase.PREPARING), set()),
        (state(over("b"), last=over("b", NOW - 60), challenger=of("c"), phase=Phase.BAKING), {"v-b"}),
        (state(), set()),
    ],
    ids=(
        *("taken back", "however it ended", "looked at", "only the last is looked at", "looked at for an hour"),
        *("what a rollback brings back", "on trial again", "beside another trial", "never tried"),
    ),
)
def test_pods_are_needed_by_what_serves_is_tried_comes_back_or_is_looked_at(
    journal: RolloutState, idle: set[str]
) -> None:
    assert unneeded(journal, NOW) == idle


def declared(world: World, names_of: Sequence[str]) -> None:
    for name in names_of:
        world.config(solo(f"w-{name}", f"v-{name}"))
        world.workload(f"w-{name}", replicas=PODS)
        labels = {**names.labels_of(ENDPOINT), names.VARIANT: f"v-{name}"}
        world.patch(DEPLOYMENT, f"w-{name}", {"metadata": {"labels": labels}}, "tests")


def says(world: World, journal: RolloutState) -> None:
    kept = copied_journal(world.api, ENDPOINT)
    kept.write(replace(journal, endpoint=ENDPOINT, revision=kept.read().revision))


def pods(world: World) -> dict[str, int]:
    return {item["metadata"]["name"]: item["spec"]["replicas"] for item in world.api.list(DEPLOYMENT)}


def test_releases_that_were_taken_back_leave_their_room_to_others(world: World) -> None:
    declared(world, "abc")
    world.workload("of-somebody-else", replicas=PODS)
    says(world, state(over("b"), over("c", NOW - 60), last=over("c", NOW - 60)))
    scale_to_zero(world.api, NOW)
    assert pods(world) == {"w-a": PODS, "w-b": 0, "w-c": PODS, "of-somebody-else": PODS}
    scale_to_zero(world.api, NOW + HOUR)
    assert pods(world)["w-c"] == 0


def test_one_that_is_tried_again_has_as_many_pods_as_before(world: World) -> None:
    declared(world, "ab")
    config = pair(solo("w-a", "v-a"), solo("w-b", "v-b"))
    world.config(config)
    says(world, state(over("b")))
    traffic = RouteTraffic(world.api, ENDPOINT, TestClock())
    traffic.use_config("w-a")
    scale_to_zero(world.api, NOW)
    world.endpoints("w-b", 0)
    assert pods(world)["w-b"] == 0
    says(world, state(over("b"), challenger=of("b"), phase=Phase.PREPARING))
    traffic.use_config(config.name)
    assert pods(world)["w-b"] == PODS
    assert traffic.read().failure == "", "it is on its way"
    scale_to_zero(world.api, NOW)
    assert pods(world)["w-b"] == PODS


AGAIN = pair(solo("w-a", "v-a"), solo("w-b", "v-b"))
FIRST = solo("w-b", "v-b")
UNFETCHED = "oci://r answers 401"


def tried(world: World, began: float, rollout: str, *ended: Event, champion: Release | None) -> None:
    phase = Phase.PREPARING if champion else Phase.MOVING
    journal = state(*ended, champion=champion, challenger=of("b"), phase=phase)
    says(world, replace(journal, rollout_id=rollout, started_at=began))


@pytest.mark.parametrize("ended", ["failed", "rolled_back", ""], ids=["failed", "crashed", "before any rollout"])
@pytest.mark.parametrize("config", [AGAIN, FIRST], ids=["beside a champion", "the first"])
def test_what_failed_is_tried_with_new_pods_and_by_no_words_of_before(
    world: World, config: ServingConfig, ended: str
) -> None:
    """The kubelet would start the old ones only after minutes, whatever was mended meanwhile."""
    clock, champion = TestClock(), of("a") if config is AGAIN else None
    declared(world, "ab")
    world.endpoints("w-b", 0)
    if config is AGAIN:
        world.config(config)
    traffic = RouteTraffic(world.api, ENDPOINT, clock)
    tried(world, clock.now - 200, "1-b", champion=champion)
    if champion:
        traffic.use_config("w-a")
    traffic.use_config(config.name)
    # After its end a pod that ended in none of its containers tells of it, too.
    world.pod("w-b", {"running": {}} if ended else CRASH, last=UNFETCHED)
    world.deployment("w-b", Progressing=("False", "ProgressDeadlineExceeded", 60))
    assert UNFETCHED in traffic.read().failure
    clock.sleep(5)
    before = [over("b", clock.now - 1, ended)] if ended else []
    tried(world, clock.now, "2-b", *before, champion=champion)
    assert traffic.read().failure == "", "nothing was asked for yet"
    for seen in (None, None, PODS):
        if seen is not None:
            world.pods_of("w-b", seen)
        with pytest.raises(Busy, match="w-b that failed before this rollout make room"):
            traffic.use_config(config.name)
        assert pods(world) == {"w-a": PODS, "w-b": 0}
    world.pods_of("w-b", 0)
    for pod in world.api.list(POD):
        world.api.delete(POD, pod["metadata"]["name"])
    RouteTraffic(world.api, ENDPOINT, clock).use_config(config.name)  # another controller's
    assert pods(world) == {"w-a": PODS, "w-b": PODS}
    assert traffic.read().failure == "", "they are on their way"


def test_pods_that_fail_in_this_rollout_and_those_that_serve_are_not_replaced(world: World) -> None:
    clock = TestClock()
    declared(world, "ab")
    world.config(AGAIN)
    traffic = RouteTraffic(world.api, ENDPOINT, clock)
    traffic.use_config("w-a")
    for name in ("w-a", "w-b"):
        world.endpoints(name, 0)
    world.pod("w-a", CRASH, last="the node is gone")
    world.pod("w-b", {"waiting": {"reason": "ContainerCreating"}})
    tried(world, clock.now + 5, "1-b", champion=of("a"))
    traffic.use_config(AGAIN.name)
    assert pods(world) == {"w-a": PODS, "w-b": PODS}, "what was made for it, and has not failed"
    (new,) = (pod["metadata"]["name"] for pod in world.api.list(POD) if pod["metadata"]["name"].startswith("w-b"))
    world.api.delete(POD, new)
    tried(world, clock.now - 60, "2-b", over("b", clock.now - 70, "failed"), champion=of("a"))
    world.pod("w-b", CRASH, last=UNFETCHED)
    traffic.use_config(AGAIN.name)
    assert pods(world) == {"w-a": PODS, "w-b": PODS}
    assert "2 workloads do not come up at once" in traffic.read().failure
    tried(world, clock.now + 5, "3-b", over("a", clock.now + 1, "failed"), champion=of("a"))
    with pytest.raises(Busy):
        traffic.use_config(AGAIN.name)
    assert pods(world) == {"w-a": PODS, "w-b": 0}


@on_both
def test_a_rollout_that_begins_meanwhile_keeps_its_pods(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    declared(world, "ab")
    says(world, state(over("b")))
    read = KubernetesJournal.read

    def begins(journal: KubernetesJournal) -> RolloutState:
        """The trial begins after the Deployments were listed, and its journal is not seen yet."""
        seen = read(journal)
        (found,) = (item for item in world.api.list(DEPLOYMENT) if item["metadata"]["name"] == "w-b")
        world.api.scale(found, PODS + 1, names.MANAGER)
        return seen

    monkeypatch.setattr(KubernetesJournal, "read", begins)
    scale_to_zero(world.api, NOW)
    assert pods(world) == {"w-a": PODS, "w-b": PODS + 1}


def test_what_a_person_scaled_away_of_no_rollout_stays_so(world: World) -> None:
    declared(world, "ab")
    says(world, state())
    world.patch(DEPLOYMENT, "w-b", {"spec": {"replicas": 0}}, "kubectl")
    world.endpoints("w-b", 0)
    traffic = RouteTraffic(world.api, ENDPOINT, TestClock())
    traffic.use_config("w-b")
    assert pods(world)["w-b"] == 0
    assert "has 0 replicas" in traffic.read().failure
