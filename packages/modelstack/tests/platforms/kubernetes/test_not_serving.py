"""A champion whose Deployment somebody deletes is shown, until it has a ready pod again."""

from __future__ import annotations

from dataclasses import replace

from modelstack.platforms.kubernetes.journal import KubernetesJournal, copied_journal
from modelstack.platforms.kubernetes.kinds import DEPLOYMENT, EVENT, ROLLOUT
from modelstack.platforms.kubernetes.not_serving import ServingCheck
from modelstack.platforms.kubernetes.notify import KubernetesNotify
from modelstack.platforms.kubernetes.rollout_status import conditions_of
from modelstack.platforms.kubernetes.rules import rules
from modelstack.platforms.kubernetes.traffic import RouteTraffic
from modelstack.rollout.controller.outbox import Outbox
from modelstack.rollout.core.state import Phase, RolloutState
from tests.platforms.kubernetes.world import ENDPOINT, TestClock, World, on_both, solo
from tests.rollout.worlds import release

CHAMPION = replace(release("a"), config_name="solo-a")
IDLE = replace(RolloutState(ENDPOINT), phase=Phase.IDLE, champion=CHAMPION, weights={"v-a": 100}, revision=1)
GONE = "Deployment solo-a is not there"


def conditions(world: World) -> dict[str, tuple[str, str]]:
    found = conditions_of(world.api.get(ROLLOUT, ENDPOINT))
    return {kind: (one["status"], one["reason"]) for kind, one in found.items() if kind != "Progressing"}


def warnings(world: World) -> list[str]:
    found = [one for one in world.api.list(EVENT) if one["reason"] == "NotServing"]
    assert all(one["type"] == "Warning" and one["involvedObject"]["kind"] == "Rollout" for one in found)
    return [one["message"] for one in found]


@on_both
def test_a_deleted_deployment_of_the_champion_is_shown_at_once_and_until_it_is_back(world: World) -> None:
    config, clock = solo("solo-a", "v-a"), TestClock()
    world.config(config)
    world.workload("solo-a")
    store = RouteTraffic(world.api, ENDPOINT, clock).store
    store.write(store.read(), config.name, rules(config, {"v-a": 100}))
    world.gateway_follows()
    journal = copied_journal(world.api, ENDPOINT)
    KubernetesJournal(world.api, ENDPOINT).put(IDLE)
    check = ServingCheck(world.api, ENDPOINT, Outbox(journal, KubernetesNotify(world.api, ENDPOINT), clock))

    def look() -> None:
        check.show(journal.read(), RouteTraffic(world.api, ENDPOINT, clock).read())

    look()
    assert conditions(world) == {"Ready": ("True", "Idle"), "Degraded": ("False", "Idle")}
    assert (journal.read().revision, warnings(world)) == (1, []), "nothing is written while it serves"
    world.api.delete(DEPLOYMENT, "solo-a")
    world.endpoints("solo-a", 0)
    for _ in range(3):
        look()
    assert conditions(world) == {"Ready": ("False", "NotServing"), "Degraded": ("True", "NotServing")}
    assert conditions_of(world.api.get(ROLLOUT, ENDPOINT))["Ready"]["message"] == GONE
    assert warnings(world) == [f"champion a has no ready instance: {GONE}"]
    journal.write(journal.read())
    assert conditions(world)["Ready"] == ("False", "NotServing"), "a write of the journal knows nothing of pods"
    check.show(journal.read(), None)
    assert conditions(world)["Ready"] == ("False", "NotServing"), "an unreadable route says nothing"
    world.endpoints("solo-a", 1)
    look()
    assert conditions(world) == {"Ready": ("True", "Idle"), "Degraded": ("False", "Idle")}
    assert len(warnings(world)) == 1
