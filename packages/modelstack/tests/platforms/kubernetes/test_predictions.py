from __future__ import annotations

import time
from typing import Any

import pytest

from modelstack.monitoring.predictions import EVER, MOST, Window
from modelstack.platforms.kubernetes import predictions
from modelstack.platforms.kubernetes.captures import intake
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.prediction_query import PredictionQuery
from modelstack.rollout.core.errors import RolloutError
from tests.captured import line
from tests.platforms.kubernetes.labelled import World

pytestmark = pytest.mark.needs("postgresql")
NOW = float(int(time.time()))


def posted(store: Database, endpoint: str, *names: str, variant: str = "v-a", ago: float = 0.0) -> None:
    """Keep a post of captures that came so many seconds ago; an event id is the variant's and the name."""
    events = [f"{variant}-{name}" for name in names]
    lines = [
        line("1", eventId=event, inferenceId=name, inferenceTime="2026-03-01T09:30:12Z")
        for name, event in zip(names, events, strict=True)
    ]
    intake(store, endpoint, variant, b"\n".join(lines))
    came = {"e": endpoint, "v": variant, "at": NOW - ago}
    which = "SELECT max(number) FROM captures WHERE endpoint = :e AND variant = :v"
    store.run(
        "age",
        f"UPDATE captures SET received = to_timestamp(:at) WHERE endpoint = :e AND variant = :v AND number = ({which})",
        **came,
    )
    store.run(
        "age",
        "UPDATE events SET received = to_timestamp(:at) WHERE endpoint = :e AND variant = :v AND event = ANY(:events)",
        events=events,
        **came,
    )


def parts(store: Database, endpoint: str, wanted: PredictionQuery) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    left: PredictionQuery | None = wanted
    while left is not None:
        found.append(predictions.page(store, endpoint, PredictionQuery.of(left.as_dict())))
        left = left.then(found[-1])
    return found


def told(found: list[dict[str, Any]], kind: str = "exact") -> list[tuple[str, str]]:
    return [(one["variant"], one["inference"]) for part in found for one in part[kind]]


def looked(store: Database, endpoint: str, word: str, window: Window = EVER) -> list[tuple[str, str]]:
    return told(parts(store, endpoint, PredictionQuery(word, window=window)))


def test_an_answer_that_is_joined_is_found_by_its_id_in_the_ledger(store: Database, endpoint: str) -> None:
    world = World(store, endpoint)
    world.captured("v-a", ("order-17", True, 0.7), ("order-18", True, 0.7))
    world.run()
    (part,) = parts(store, endpoint, PredictionQuery("order-17"))
    assert (told([part]), part["files"]) == ([("v-a", "order-17")], 0)
    assert part["exact"][0]["at"] == world.now


def test_an_event_id_is_found_without_looking_through_the_captures(store: Database, endpoint: str) -> None:
    posted(store, endpoint, "order-17", "order-18")
    posted(store, endpoint, "v-a-order-17", variant="v-b")
    (part,) = parts(store, endpoint, PredictionQuery("v-a-order-17"))
    assert (told([part]), part["files"]) == ([("v-a", "order-17")], 0)


@pytest.mark.parametrize(("limit", "most", "files"), [("_FILES", 3, [3, 3, 3, 1, 0]), ("_BYTES", 1, [1] * 10 + [0])])
def test_what_no_table_has_is_found_in_the_captures_of_every_part(
    store: Database, endpoint: str, monkeypatch: pytest.MonkeyPatch, *, limit: str, most: int, files: list[int]
) -> None:
    monkeypatch.setattr(predictions, limit, most)
    for hours in range(10):
        posted(store, endpoint, f"order-{hours}", "basket", variant=f"v-{'ab'[hours % 2]}", ago=3600 * hours)
    posted(store, f"{endpoint}-other", "order-99")
    for hours in range(10):
        assert looked(store, endpoint, f"order-{hours}") == [(f"v-{'ab'[hours % 2]}", f"order-{hours}")]
    nothing = parts(store, endpoint, PredictionQuery("order-99"))
    assert (told(nothing), [part["files"] for part in nothing]) == ([], files)
    assert nothing[0]["oldest"] == NOW - 9 * 3600


def test_only_what_came_in_the_window_is_looked_through(store: Database, endpoint: str) -> None:
    for hours in range(6):
        posted(store, endpoint, f"order-{hours}", ago=3600 * hours)
    found = parts(store, endpoint, PredictionQuery("none", window=Window(NOW - 3 * 3600, NOW - 2 * 3600)))
    assert sum(part["files"] for part in found) == 2
    found = parts(store, endpoint, PredictionQuery("none", window=Window(NOW - 3600)))
    assert sum(part["files"] for part in found) == 2


def test_the_beginning_of_an_id_finds_some_that_begin_so_and_the_one_that_is_the_whole_word(
    store: Database, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "_FILES", 7)
    for number in range(1, 30):
        posted(store, endpoint, f"order-{number:02}", f"order-{number:02}x", ago=60 * number)
    found = parts(store, endpoint, PredictionQuery("order"))
    assert (len(found), len(told(found, "begun"))) == (6, MOST)
    posted(store, endpoint, "order", ago=7200)
    assert looked(store, endpoint, "order") == [("v-a", "order")]


@pytest.mark.parametrize("seconds", [100, 0], ids=["one after the other", "at the same time"])
def test_more_files_with_the_id_than_come_at_once_are_all_seen(store: Database, endpoint: str, seconds: int) -> None:
    for number in range(45):
        posted(store, endpoint, f"a-word-of-{number}", ago=min(number // 3, seconds))
    posted(store, endpoint, "a-word", ago=seconds)
    assert looked(store, endpoint, "a-word") == [("v-a", "a-word")]


def test_what_a_shadow_answered_at_the_same_time_is_found_too_and_what_is_older_is_left(
    store: Database, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "_FILES", 1)
    posted(store, endpoint, "order-17", ago=60)
    posted(store, endpoint, "order-17", variant="v-b", ago=100)
    posted(store, endpoint, "order-17", variant="v-c", ago=4000)
    found = parts(store, endpoint, PredictionQuery("order-17"))
    assert told(found) == [("v-a", "order-17"), ("v-b", "order-17")]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "id: got 0 characters"),
        ({"id": "x" * 201}, "id: got 201 characters, expected 1 to 200"),
        ({"id": "x", "since": "noon"}, "since: got 'noon', expected epoch seconds"),
        ({"id": "x", "until": "-1"}, "until: got '-1'"),
        ({"id": "x", "before": "1e99"}, "before: got '1e99'"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(asked: dict[str, str], words: str) -> None:
    with pytest.raises(RolloutError, match=words):
        PredictionQuery.of(asked)
