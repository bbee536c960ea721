from __future__ import annotations

import json
from typing import Any

import pytest

from modelstack.monitoring.captured import Malformed, Recorded, Side, instances, predictions, when
from modelstack.monitoring.exchanges import traffic

ROWS = [{"distance": 1400.0, "carrier": "UA"}, {"distance": 200.0, "carrier": "B6"}]
ANSWERS = [{"late": True, "probability": 0.61}, {"late": False, "probability": 0.1}]


def recorded(asked: Any = None, answered: Any = None) -> Recorded:
    def side(content: Any) -> Side | None:
        if content is None:
            return None
        return Side("application/json", content if isinstance(content, bytes) else json.dumps(content).encode())

    return Recorded("e1", "flight-7", "2026-01-05T12:00:00Z", side(asked), side(answered))


def test_rows_are_read_from_each_side_whatever_the_other_is() -> None:
    assert instances(recorded({"instances": ROWS}, b"not json")) == tuple(ROWS)
    assert instances(recorded({"instances": ROWS})) == tuple(ROWS)
    assert predictions(recorded(b"1400,UA", {"predictions": ANSWERS})) == tuple(ANSWERS)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (None, "the request was not captured"),
        (b"a,b,c", "the request is no JSON"),
        (b"\xff\xfe", "the request is no JSON"),
        (b"[" * 100_000, "the request is no JSON"),
        ([1, 2], "the request is no object with a list of instances"),
        ({"rows": []}, "the request is no object with a list of instances"),
        ({"instances": "x"}, "the request is no object with a list of instances"),
        ({"instances": [1]}, "the request has instances that are no objects"),
    ],
)
def test_a_request_without_rows_says_why(body: Any, why: str) -> None:
    assert instances(recorded(body, {"predictions": ANSWERS})) == Malformed(why)


def test_a_line_that_cannot_be_read_says_why_on_both_sides() -> None:
    (broken,) = traffic([b"not json"])
    assert instances(broken) == predictions(broken) == Malformed("the line is no JSON")


@pytest.mark.parametrize(
    ("at", "attributes", "expected"),
    [
        ("2026-01-05T12:00:00Z", (), (1767614400.0, False)),
        ("2026-01-05T12:00:00", (), (1767614400.0, False)),
        ("", (), (2e9, False)),
        ("noon", ("trace=event-time",), (2e9, False)),
        ("2126-01-05T12:00:00Z", (), (2e9, False)),
        ("2026-01-05T12:00:00Z", ("event-time=2013-03-01T00:00:00Z",), (1362096000.0, True)),
        ("2026-01-05T12:00:00Z", ("a=b; event-time=2013-03-01T01:00:00+01:00,c", "d"), (1362096000.0, True)),
        ("2026-01-05T12:00:00Z", ("event-time=2113-03-01T00:00:00Z",), (2e9, True)),
        ("2026-01-05T12:00:00Z", ("event-time=yesterday",), (1767614400.0, False)),
    ],
)
def test_a_request_is_of_when_it_was_asked_unless_its_sender_tells_another_time(
    at: str, attributes: tuple[str, ...], expected: tuple[float, bool]
) -> None:
    assert when(Recorded("e", None, at, None, None, attributes), 2e9) == expected
