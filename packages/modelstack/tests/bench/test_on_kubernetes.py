"""What the bench on Kubernetes computes, and what its load calls lost. No cluster is needed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bench import results, rows
from bench.bed import BenchError
from bench.kubernetes.arithmetic import (
    FLAGGER_EXAMPLE,
    FLAGGER_INTERVAL_S,
    FLAGGER_THRESHOLD,
    bent,
    calls_a_minute,
    flagger_seconds,
    line,
    quantile,
)
from bench.kubernetes.load import load
from bench.rows import Row
from modelstack.platforms.kubernetes.names import VARIANT_HEADER
from tests.listening import Quiet, listening

HUNDRED = [float(number) for number in range(100, 0, -1)]


@pytest.mark.parametrize(
    ("values", "q", "value"),
    [
        *((HUNDRED, q, value) for q, value in ((0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1, 100))),
        ([3.0, 1.0, 2.0], 0.99, 3.0),
        ([7.0], 0.5, 7.0),
    ],
)
def test_a_quantile_is_the_nearest_rank_of_the_values_in_their_order(
    values: list[float], q: float, value: float
) -> None:
    assert quantile(values, q) == value


@pytest.mark.parametrize(("values", "q"), [([], 0.5), ([1.0], 0), ([1.0], 1.5)])
def test_a_quantile_of_nothing_is_refused(values: list[float], q: float) -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile(values, q)


def test_flagger_takes_a_minute_by_the_defaults_of_its_code_and_ten_by_its_page() -> None:
    assert flagger_seconds(FLAGGER_INTERVAL_S, FLAGGER_THRESHOLD) == 60
    assert flagger_seconds(FLAGGER_INTERVAL_S, FLAGGER_EXAMPLE) == 600


def test_calls_are_those_that_stand_and_a_look_at_each_within_its_rest() -> None:
    assert calls_a_minute(12, each_look=4, endpoints=100, rest_seconds=900) == pytest.approx(12 + 100 * 4 / 15)
    assert calls_a_minute(12, each_look=4, endpoints=0, rest_seconds=900) == 12


def test_what_grows_by_a_straight_line_is_not_bent_and_what_grows_by_the_square_is() -> None:
    straight = {size: 12 + 0.3 * size for size in (25, 50, 100)}
    slope, standing = line(straight)
    assert (slope, standing) == (pytest.approx(0.3), pytest.approx(12))
    assert bent(straight) == pytest.approx(1)
    assert bent({size: float(size * size) for size in (25, 50, 100)}) > 1.5


def test_two_points_cannot_be_bent() -> None:
    with pytest.raises(ValueError, match="a line through 1 points"):
        bent({25: 1.0, 50: 2.0})


def test_a_row_without_a_goal_is_only_told() -> None:
    row = Row("told", 3, "requests", "", "no promise")
    assert row.met is None
    assert row.as_dict()["met"] is None
    assert Row("held", 3, "requests", "<= 3", "").met is True
    assert results.table([row]).row_count == 1


def test_scenarios_run_in_their_own_order_and_an_unknown_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "quick", False)
    assert results.asked(["lost", "shifts"], ("shifts", "lost", "fleet")) == ["shifts", "lost"]
    assert not rows.quick
    assert results.asked(["--quick"], ("shifts", "lost")) == ["shifts", "lost"]
    assert rows.quick
    with pytest.raises(BenchError, match="no scenario nothing; there are shifts, lost"):
        results.asked(["nothing"], ("shifts", "lost"))


class _Moody(Quiet):
    """Answers well, then with 503 as a gateway does, then not at all, and so on."""

    protocol_version = "HTTP/1.1"
    asked = iter(range(1 << 30))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        turn = next(self.asked) % 3
        if turn == 2:
            self.close_connection = True
            return
        self.send_response(503 if turn else 200)
        if not turn:
            self.send_header(VARIANT_HEADER, "v-a")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


@pytest.fixture
def moody() -> Iterator[str]:
    with listening(_Moody) as url:
        yield url


@pytest.mark.slow
def test_whatever_is_not_answered_with_200_is_lost_and_nothing_is_tried_again(moody: str) -> None:
    before = next(_Moody.asked)
    with load(moody, b"{}", rate=300) as seen:
        end = time.monotonic() + 60
        while seen.sent < 60 and time.monotonic() < end:
            time.sleep(0.01)
    came = next(_Moody.asked) - before - 1
    good = [answer for answer in seen.answers if answer.status == 200]
    broken = [answer for answer in seen.answers if answer.status == 0]
    assert seen.sent == came >= 60
    assert len(seen.lost()) == seen.sent - len(good)
    assert {answer.variant for answer in good} == {"v-a"}
    assert {answer.status for answer in seen.lost()} == {0, 503}
    assert abs(len(broken) - came / 3) <= 1
    assert all(answer.text for answer in seen.lost())
    assert len(seen.lost(since=30)) == sum(answer.status != 200 for answer in seen.answers[30:])
    assert seen.by("v-a", since=0) == good
