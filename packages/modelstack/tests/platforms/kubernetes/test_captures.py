from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelstack.monitoring.captured import PROBED, REPLAYED
from modelstack.platforms.kubernetes.captures import MOST, Captures, Taken, intake, key_of
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.measured import text
from modelstack.rollout.core.errors import RolloutError
from tests import captured
from tests.platforms.kubernetes.killed import killed_after
from tests.platforms.kubernetes.postgres import Server

pytestmark = pytest.mark.needs("postgresql")
_names = count()


def line(event: str, body: str = "1", **meta: Any) -> bytes:
    return captured.line(body, {"p": 0.5}, **{"eventId": event, **meta})


def post(*lines: bytes) -> bytes:
    return b"".join(one + b"\n" for one in lines)


def bodies(store: Database, endpoint: str, limit: int = 100, after: str = "") -> list[str]:
    return [asked.body.decode() for _, (asked, _) in Captures(store, endpoint).latest("v-a", limit, Counter(), after)]


def counted(store: Database, endpoint: str) -> dict[str, float]:
    """Name and labels but namespace and endpoint -> the value; what is 0 is left out."""
    lines = [one for one in text(store, "models", [endpoint]).splitlines() if not one.startswith("#")]
    ours = f'namespace="models",endpoint="{endpoint}"'
    return {
        name.replace(f"{ours},", "").replace(ours, ""): float(value)
        for name, value in (one.rsplit(" ", 1) for one in lines)
        if "delay" not in name and float(value)
    }


def test_each_exchange_is_kept_once_in_whichever_posts_it_comes(store: Database, endpoint: str) -> None:
    first = post(line("1", "a"), line("2", "b"))
    assert intake(store, endpoint, "v-a", first) == Taken(kept=2, again=0, malformed=0)
    assert intake(store, endpoint, "v-a", first) == Taken(kept=0, again=2, malformed=0)
    assert intake(store, endpoint, "v-a", post(line("2", "b"), line("3", "c"), line("3", "c"))) == Taken(1, 2, 0)
    assert intake(store, endpoint, "v-b", first) == Taken(2, 0, 0), "a shadow's copy is another exchange"
    assert bodies(store, endpoint) == ["c", "b", "a"]
    assert counted(store, endpoint) == {
        'modelstack_captured_exchanges_total{variant="v-a"}': 3,
        'modelstack_captured_exchanges_total{variant="v-b"}': 2,
    }


def test_malformed_lines_are_kept_aside_with_the_reason_and_counted_once_and_stop_no_other(
    store: Database, endpoint: str
) -> None:
    broken = post(b"{", line("1"), b"\xff\x00", line("2", **{"eventId": ""}), b"{", b"", line("\x00\ud800"))
    assert intake(store, endpoint, "v-a", broken) == Taken(kept=3, again=0, malformed=3)
    assert intake(store, endpoint, "v-a", broken) == Taken(kept=0, again=6, malformed=0)
    assert counted(store, endpoint)['modelstack_capture_unreadable_total{variant="v-a"}'] == 3
    ((kept,),) = store.run("see", "SELECT lines FROM aside WHERE endpoint = :e", e=endpoint)
    assert [json.loads(one) for one in kept.splitlines()] == [
        {"why": "the line is no JSON", "line": "{"},
        {"why": "the line is no JSON", "line": "\ufffd\x00"},
        {"why": "the line is no JSON", "line": "{"},
    ]


def test_what_the_replay_gate_and_the_probe_asked_is_not_kept(store: Database, endpoint: str) -> None:
    asked = [line(str(n), inferenceId=name) for n, name in enumerate((f"{REPLAYED}v-b-3", f"{PROBED}7", "order-7"))]
    assert intake(store, endpoint, "v-a", post(*asked)) == Taken(1, 0, 0)
    assert intake(store, endpoint, "v-a", post(*asked[:2])) == Taken(0, 0, 0)


@pytest.mark.parametrize(
    ("endpoint", "variant"), [("", "v-a"), ("e", "../x"), ("e", "V"), ("e" * 300, "v"), ("e", "v\x00")]
)
def test_what_is_no_name_is_refused_before_anything_is_kept(store: Database, endpoint: str, variant: str) -> None:
    with pytest.raises(RolloutError, match="expected a name of lower-case letters"):
        intake(store, endpoint, variant, post(line("1")))


def test_a_post_that_is_too_large_is_refused(store: Database, endpoint: str) -> None:
    with pytest.raises(RolloutError, match="at most 16,777,216 are taken at once"):
        intake(store, endpoint, "v-a", b"x" * (MOST + 1))


def test_the_latest_come_first_and_a_place_is_where_the_next_run_goes_on(store: Database, endpoint: str) -> None:
    for number in range(60):
        intake(store, endpoint, "v-a", post(line(f"{number}a", f"{number}a"), line(f"{number}b", f"{number}b")))
    every = bodies(store, endpoint, 1000)
    assert every == [f"{number}{half}" for number in reversed(range(60)) for half in "ba"]
    places = [place for place, _ in Captures(store, endpoint).latest("v-a", 1000, Counter())]
    intake(store, endpoint, "v-a", post(line("new", "new")))
    for n in (0, 1, 2, 39, 118):
        assert bodies(store, endpoint, 1000, places[n]) == every[n + 1 :]
    store.run("forget", "DELETE FROM captures WHERE endpoint = :e AND number = 31", e=endpoint)
    gone = next(place for place in places if place.startswith("31#"))
    assert bodies(store, endpoint, 3, gone) == ["29b", "29a", "28b"], "the file of the place is no more"


def test_old_captures_are_not_replayed(store: Database, endpoint: str) -> None:
    intake(store, endpoint, "v-a", post(line("1")))
    store.run("age", "UPDATE captures SET received = now() - '3d'::interval WHERE endpoint = :e", e=endpoint)
    assert bodies(store, endpoint) == []


def test_files_are_listed_in_the_order_in_which_they_can_be_seen(store: Database, endpoint: str) -> None:
    """Else one that gets its number early and is seen late would be passed over."""
    captures = Captures(store, endpoint)
    assert captures.keys("v-a", "", 10) == []
    began, go_on = threading.Event(), threading.Event()

    class Slow(Database):
        def together(self, doing: str, work: Any) -> Any:
            def waits(run: Any) -> Any:
                done = work(run)
                began.set()
                go_on.wait(10)
                return done

            return super().together(doing, waits)

    slow = threading.Thread(target=lambda: intake(Slow(store.place), endpoint, "v-a", post(line("slow"))))
    slow.start()
    began.wait(10)
    quick = threading.Thread(target=lambda: intake(store, endpoint, "v-a", post(line("quick"))))
    quick.start()
    quick.join(0.5)
    seen = captures.keys("v-a", "", 10)
    go_on.set()
    slow.join(), quick.join()
    assert seen == []
    assert captures.keys("v-a", "", 10) == [key_of("v-a", 1), key_of("v-a", 2)]
    assert captures.keys("v-a", key_of("v-a", 1), 10) == [key_of("v-a", 2)]
    assert b"slow" in next(iter(captures.file(key_of("v-a", 1))[0]))


def test_a_file_that_was_forgotten_says_so(store: Database, endpoint: str) -> None:
    with pytest.raises(FileNotFoundError):
        list(Captures(store, endpoint).exchanges(key_of("v-a", 7)))


def test_a_process_that_is_killed_anywhere_leaves_all_of_a_post_or_nothing(
    postgres: Server, store: Database, endpoint: str
) -> None:
    lines = post(line("1", "a"), b"{", line("2", "b"))
    statements = 0
    while killed_after(statements := statements + 1, postgres.url(), lambda it: intake(it, endpoint, "v-a", lines)):
        found = bodies(store, endpoint)
        assert found in ([], ["b", "a"])
    assert statements > 5
    intake(store, endpoint, "v-a", lines)
    assert bodies(store, endpoint) == ["b", "a"]
    assert counted(store, endpoint) == {
        'modelstack_captured_exchanges_total{variant="v-a"}': 2,
        'modelstack_capture_unreadable_total{variant="v-a"}': 1,
    }


@settings(max_examples=15)
@given(posts=st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=5), min_size=1, max_size=6))
def test_posts_that_come_at_once_and_share_lines_keep_each_once(store: Database, posts: list[list[int]]) -> None:
    endpoint = f"many-{next(_names)}"

    def take(one: list[int]) -> None:
        intake(store, endpoint, "v-a", post(*(line(str(n), str(n)) for n in one)))

    with ThreadPoolExecutor(len(posts)) as pool:
        list(pool.map(take, posts))
    found = bodies(store, endpoint)
    assert sorted(found) == sorted({str(n) for one in posts for n in one})
    assert counted(store, endpoint) == {'modelstack_captured_exchanges_total{variant="v-a"}': len(found)}
