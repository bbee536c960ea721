"""Labels and answers in any order, repeated, at once and killed, on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.bulk import DAY
from monitoring.labels.pairs import Batch, Given
from platforms.kubernetes.captures import intake
from platforms.kubernetes.database import Database
from platforms.kubernetes.labels import BASELINE, FORM, MOST, take_labels
from platforms.kubernetes.ledger import PostgresLedger
from platforms.kubernetes.standings import Standings
from rollout.core.errors import RolloutError, Unreachable
from tests.monitoring.labels.test_standing import DAILY, pair
from tests.platforms.kubernetes.killed import killed_after
from tests.platforms.kubernetes.labelled import ROLLOUT, World
from tests.platforms.kubernetes.postgres import Server
from tests.rollout.worlds import release

pytestmark = pytest.mark.needs("postgresql")
_names = count()


@pytest.fixture
def world(store: Database, endpoint: str) -> World:
    return World(store, endpoint)


@pytest.mark.parametrize("answers_first", [True, False])
def test_a_label_and_its_answer_count_once_in_either_order_and_however_often(world: World, answers_first: bool) -> None:
    said = [("x", True, 0.8), ("y", False, 0.25), (None, True, 0.5)]
    answers, truth = (
        world.answers(*said, ago=60),
        b'{"inference_id":"x","label":true}\n{"inference_id":"y","label":true}',
    )

    def deliver(post: bytes) -> None:
        if post is answers:
            intake(world.database, world.endpoint, "v-a", post)
        else:
            take_labels(world.database, world.endpoint, "labels.jsonl", post)
        world.run()

    order = [answers, truth] if answers_first else [truth, answers]
    for post in (order[0], *order, *order, order[1]):
        deliver(post)
    assert world.pairs("v-a") == (2, 1)
    assert world.seen("log_loss_sum", variant="v-a") == pytest.approx(0.2231 + 1.3863, abs=1e-3)
    assert world.seen("log_loss_squared_sum", variant="v-a") == pytest.approx(0.0498 + 1.9218, abs=1e-3)
    assert world.seen("log_loss_count", variant="v-a") == 2
    assert world.seen("log_loss_squared_count", variant="v-a") == 0
    assert world.pairs("v-b") == (0, 0)
    assert world.rejected() == []
    assert world.seen("invalid_answers_count", variant="v-a") == 3


def test_an_answer_counts_for_the_trial_in_which_it_was_given_or_for_none(world: World) -> None:
    world.captured("v-a", ("old", True, 0.5), ago=60)
    world.captured("v-a", ("new", True, 0.5))
    world.captured("v-b", ("other", False, 0.5))
    world.labelled(("old", True), ("new", True), ("other", True))
    assert world.run() == 3
    assert (world.pairs("v-a"), world.pairs("v-a", ROLLOUT)) == ((1, 1), (1, 1))
    assert (world.pairs("v-b"), world.pairs("v-b", ROLLOUT)) == ((0, 0), (1, 0))


def test_what_champion_and_shadow_answer_to_one_request_is_joined_with_one_label(world: World) -> None:
    world.captured("v-a", ("x", True, 0.5))
    world.labelled(("x", True))
    assert world.run() == 1
    world.captured("v-b", ("x", False, 0.5))
    assert world.run() == 1
    assert (world.pairs("v-a", ROLLOUT), world.pairs("v-b", ROLLOUT)) == ((1, 1), (1, 0))


def test_lines_that_are_no_labels_are_kept_aside_and_counted_once(world: World) -> None:
    world.captured("v-a", ("x", True, 0.9), ("w", True, 0.9), ("\x00", True, 0.9), ("\ud800", True, 0.9))
    lines = (
        "{", "[]", '{"inference_id": "x"}', '{"label": true}', '{"inference_id": "", "label": 1}', "",
        '{"inference_id": "x", "label": NaN}', '{"inference_id": "x", "label": {"a": 1}}', ("w", "perhaps"),
        ("x", True), ("\x00", True), ("\ud800", True),
    )  # fmt: skip
    for _ in range(3):
        world.labelled(*lines)
        world.run()
    assert world.pairs("v-a", ROLLOUT) == (2, 2)
    assert world.seen("labels_unparsable_total") == 9
    assert len(world.rejected()) == 9
    assert "v-a: label: got 'perhaps', expected one of false, true" in [why for _, why in world.rejected()]


def test_a_second_label_is_a_duplicate_or_contradicts_and_one_of_no_use_gives_way(world: World) -> None:
    world.captured("v-a", ("x", True, 0.9), ("y", True, 0.9))
    world.labelled(("x", True), ("y", "perhaps"))
    world.run()
    assert (world.pairs("v-a", ROLLOUT), world.seen("labels_unparsable_total")) == ((1, 1), 1)
    world.labelled(("x", True), ("x", False), ("y", False))
    world.run()
    assert world.pairs("v-a", ROLLOUT) == (2, 1)
    assert (world.seen("labels_duplicate_total"), world.seen("labels_contradicting_total")) == (1, 1)


def test_a_label_that_waits_too_long_is_given_up_and_counts_should_its_answer_come(world: World) -> None:
    world.labelled(("x", True), ("y", True))
    world.captured("v-a", ("y", True, 0.5))
    world.run()
    assert world.labels().sweep(world.state) == 0
    world.database.run(
        "age", "UPDATE labels SET received = now() - '2h'::interval WHERE endpoint = :e", e=world.endpoint
    )
    assert [world.labels().sweep(world.state) for _ in range(2)] == [1, 0]
    assert world.seen("labels_unknown_total") == 1
    assert world.rejected() == [("LabelsUnknown", "no answer with this id was captured within 3600 s")]
    world.captured("v-a", ("x", True, 0.5))
    assert world.run() == 1
    assert world.pairs("v-a", ROLLOUT) == (2, 2)


def test_a_pair_that_a_killed_call_has_stored_and_not_joined_is_joined_by_the_next_or_by_a_sweep(world: World) -> None:
    world.captured("v-a", ("x", True, 0.5))
    world.run()
    ledger = PostgresLedger(world.database, world.endpoint)
    ledger.labels([("x", Given("true", "killed:1"))])  # and killed before it looked for the answer
    world.database.run(
        "age", "UPDATE labels SET received = now() - '2h'::interval WHERE endpoint = :e", e=world.endpoint
    )
    assert world.labels().sweep(world.state) == 0
    assert world.pairs("v-a", ROLLOUT) == (1, 1)


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


def test_a_release_of_before_is_looked_up_and_one_that_nobody_knows_is_counted(world: World) -> None:
    world.known["v-old"] = release("old")
    world.members["v-old", FORM] = world.members["v-a", FORM]
    world.captured("v-old", ("x", True, 0.5))
    world.captured("v-lost", ("y", True, 0.5))
    world.labelled(("x", True), ("y", True))
    assert world.run() == 1
    assert world.pairs("v-old") == (1, 1)
    assert world.seen("answers_unreadable_total") == 1


def test_labels_that_are_too_many_for_one_post_are_refused(world: World) -> None:
    with pytest.raises(RolloutError, match="split them"):
        take_labels(world.database, world.endpoint, "all.jsonl", b" " * (MOST + 1))


def test_how_a_variant_stands_is_told_to_people_and_to_prometheus(world: World) -> None:
    world.captured("v-a", *((str(n), n % 2 == 0, 0.7) for n in range(40)))
    world.labelled(*((str(n), True) for n in range(40)))
    world.run()
    assert world.seen("realised_accuracy", variant="v-a") == 0.5
    assert (
        world.seen("realised_accuracy_low", variant="v-a") < 0.5 < world.seen("realised_accuracy_high", variant="v-a")
    )
    told = Standings(world.database, world.endpoint).told("v-a")
    assert told is not None
    assert (told["values"]["RealisedPairs"], told["values"]["RealisedAccuracy"]) == (40, 0.5)
    world.database.run("age", "UPDATE gauges SET until = now() WHERE endpoint = :e", e=world.endpoint)
    assert world.seen("realised_accuracy", variant="v-a") == 0.0, "nobody tells it any more"


def test_labels_that_have_turned_reach_prometheus_as_evidence_some_days_after(world: World) -> None:
    world.members["v-a", BASELINE] = DAILY.as_dict()
    watched, source = {"loss_rise": 0.02, "false_alarms": 0.5}, Random(4)

    def day(number: int, pairs: list[tuple[float, bool]]) -> None:
        told = f"event-time={date(2013, 1, 1) + timedelta(days=number)}T12:00"
        ids = [f"{number}-{n}" for n in range(len(pairs))]
        given = zip(ids, pairs, strict=True)
        world.captured("v-a", *((key, score >= 0.5, score) for key, (score, _) in given), customAttributes=[told])
        world.labelled(*((key, late) for key, (_, late) in zip(ids, pairs, strict=True)))
        world.run(**watched)

    for number in range(3):
        day(number, [pair(source) for _ in range(25)])
    assert world.seen("concept_evidence", variant="v-a") < 0.01
    for number in range(3, 12):
        day(number, [(0.9, False)] * 25)
    assert world.seen("concept_evidence", variant="v-a") >= 1
    assert world.seen("realised_pairs", variant="v-a") == 300
    told = Standings(world.database, world.endpoint).told("v-a")
    assert told is not None
    assert told["since"] / DAY == pytest.approx((date(2013, 1, 4) - date(1970, 1, 1)).days, abs=1)


def test_of_two_that_read_a_file_at_once_one_counts_what_it_holds(world: World) -> None:
    ledger = PostgresLedger(world.database, world.endpoint)
    for _ in range(2):
        ledger.commit(Batch("v-a", once="capture 7", counts=Counter(AnswersDuplicate=3)))
    assert world.seen("answers_duplicate_total") == 3


def test_a_server_that_is_killed_at_any_moment_leaves_each_pair_to_be_counted_once(
    postgres: Server, store: Database
) -> None:
    source, pairs = Random(7), 60
    for _ in range(3):
        world = World(store, f"power-{next(_names)}")
        for start in range(0, pairs, 20):
            world.captured("v-a", *((f"id {n}", True, 0.5) for n in range(start, start + 20)))
        world.labelled(*((f"id {n}", True) for n in range(pairs)))
        killer = threading.Timer(source.uniform(0.0, 0.15), postgres.kill)
        killer.start()
        with suppress(RolloutError):
            world.run()
        killer.join()
        postgres.start()
        world.run()
        assert world.pairs("v-a", ROLLOUT) == (pairs, pairs)
        assert world.seen("invalid_answers_count", rollout=ROLLOUT, variant="v-a") == pairs


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), pairs=st.integers(1, 25), posts=st.integers(1, 5))
def test_whatever_the_order_the_repeats_and_who_works_at_once_each_pair_counts_once(
    store: Database, seed: int, pairs: int, posts: int
) -> None:
    world, source = World(store, f"order-{next(_names)}"), Random(seed)
    ids = [f"id {n}" for n in range(pairs)]
    parts = [ids[start::posts] for start in range(min(posts, pairs))]
    truths = ["\n".join(f'{{"inference_id": "{key}", "label": true}}' for key in part) for part in parts]
    deliveries = [("answers", world.answers(*((key, True, 0.5) for key in part))) for part in parts]
    deliveries += [("labels", post.encode()) for post in truths]
    deliveries += source.choices(deliveries, k=posts)
    source.shuffle(deliveries)
    failures = list[BaseException]()

    def deliver(share: list[tuple[str, bytes]]) -> None:
        try:
            for kind, post in share:
                if kind == "answers":
                    intake(store, world.endpoint, "v-a", post)
                else:
                    take_labels(store, world.endpoint, "labels", post)
                world.run()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=deliver, args=(deliveries[start::2],)) for start in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    world.run()
    assert world.pairs("v-a", ROLLOUT) == (pairs, pairs)
    never = ("labels_duplicate", "labels_contradicting", "answers_duplicate", "labels_unknown")
    assert [world.seen(f"{name}_total") for name in never] == [0] * len(never)
    left = store.run("see", "SELECT count(*) FROM joined_batches WHERE endpoint = :e", e=world.endpoint)
    assert left == [[0]]


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
        work = partial(lambda of, it: of.labels(it).run(of.state), world)
        finished = not killed_after(statements, postgres.url(), work, "COMMIT")
        world.run()
        assert (world.pairs("v-a", ROLLOUT), world.pairs("v-b", ROLLOUT)) == ((2, 1), (1, 1)), statements
        assert world.seen("labels_unparsable_total") == 1
        assert world.seen("invalid_answers_count", rollout=ROLLOUT, variant="v-a") == 2
    assert statements > 15
