from __future__ import annotations

from functools import partial
from itertools import count
from typing import Any

import pytest

from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.documents import PostgresDocuments
from modelstack.platforms.kubernetes.labels import MOST, take_labels
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.services.batches import quality
from tests.platforms.kubernetes.killed import killed_after
from tests.platforms.kubernetes.labelled import ROLLOUT, World
from tests.platforms.kubernetes.postgres import Server

pytestmark = pytest.mark.needs("postgresql")
_names = count()


@pytest.fixture
def world(store: Database, endpoint: str) -> World:
    return World(store, endpoint)


def test_pairs_are_counted_once_and_shown_to_people_and_to_prometheus(world: World) -> None:
    for _ in range(2):
        world.captured("v-a", ("old", True, 0.5), ago=60)
        world.captured("v-a", *((str(n), n % 2 == 0, 0.7) for n in range(40)), ("\x00", True, 0.9))
        world.labelled(*((str(n), True) for n in range(40)), ("old", False), ("\x00", True), "{", ("7", False))
        world.run()
    assert (world.pairs("v-a"), world.pairs("v-a", ROLLOUT)) == ((1, 0), (41, 21))
    assert world.seen("log_loss_count", rollout=ROLLOUT, variant="v-a") == 41
    assert world.seen("log_loss_squared_count", rollout=ROLLOUT, variant="v-a") == 0
    assert world.seen("log_loss_squared_sum", rollout=ROLLOUT, variant="v-a") > 0
    assert (world.seen("labels_unparsable_total"), world.seen("labels_contradicting_total")) == (1, 1)
    shown = quality(PostgresDocuments(world.database, world.endpoint), "v-a")
    assert shown is not None
    assert shown["values"]["RealisedPairs"] == world.seen("realised_pairs", variant="v-a") == 42
    aside = world.database.run("see", "SELECT lines FROM aside WHERE endpoint = :e", e=world.endpoint)
    assert sum(lines.count("\n") for (lines,) in aside) == 2
    world.database.run("age", "UPDATE gauges SET until = now() WHERE endpoint = :e", e=world.endpoint)
    assert world.seen("realised_accuracy", variant="v-a") == 0.0, "nobody publishes it any more"


def test_one_variant_whose_package_cannot_be_read_now_stops_no_other(world: World) -> None:
    world.captured("v-a", ("x", True, 0.5))
    world.captured("v-b", ("y", True, 0.5))
    world.labelled(("x", True), ("y", True))
    read, down = world.member, True

    def member(of: Any, name: str) -> bytes | None:
        if of.variant == "v-a" and down:
            raise Unreachable("registry: no answer")
        return read(of, name)

    world.member = member  # type: ignore[method-assign]
    with pytest.raises(Unreachable, match="registry: no answer"):
        world.run()
    assert (world.pairs("v-a", ROLLOUT), world.pairs("v-b", ROLLOUT)) == ((0, 0), (1, 1))
    assert world.seen("labels_delay_seconds") > 0
    down = False
    world.run()
    assert world.pairs("v-a", ROLLOUT) == (1, 1)
    assert world.seen("labels_delay_seconds") == 0


def test_labels_that_are_too_many_for_one_post_are_refused(world: World) -> None:
    with pytest.raises(RolloutError, match="split them"):
        take_labels(world.database, world.endpoint, "all.jsonl", b" " * (MOST + 1))


def test_a_process_that_is_killed_after_any_transaction_leaves_each_pair_to_be_counted_once(
    postgres: Server, store: Database
) -> None:
    statements, finished = 0, False
    while not finished:
        statements += 1
        world = World(store, f"killed-{next(_names)}")
        world.captured("v-a", ("x", True, 0.8), ("y", False, 0.25))
        world.captured("v-b", ("x", True, 0.8))
        world.labelled(("x", True), ("y", True), ("z", True), "{")
        work = partial(World.run, world)
        finished = not killed_after(statements, postgres.url(), work, "COMMIT")
        world.run()
        assert (world.pairs("v-a", ROLLOUT), world.pairs("v-b", ROLLOUT)) == ((2, 1), (1, 1)), statements
        assert world.seen("labels_unparsable_total") == 1
        assert world.seen("invalid_answers_count", rollout=ROLLOUT, variant="v-a") == 2
    assert statements > 15
