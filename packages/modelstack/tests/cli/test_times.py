"""One form of a time, with its age, in every command and on every page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from modelstack.cli.view.times import Moment, duration, stamp, when

CLI = Path(__file__).resolve().parents[4] / "packages/modelstack/src/modelstack/cli"
AT = datetime(2026, 3, 1, 9, 42, 7, tzinfo=UTC)
_OTHER_FORMS = re.compile(r"%H:%M|\[11:19\]|\[:16\]|\[:19\]|slice\(11, 19\)|toLocale")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0, "0 s"), (10, "10 s"), (60, "1 min"), (90, "90 s"), (119, "119 s"), (120, "2 min"), (125, "2 min 5 s")),
        *(
            (600, "10 min"),
            (1770, "29 min"),
            (3600, "1 h"),
            (5400, "90 min"),
            (7260, "2 h 1 min"),
            (9000, "2 h 30 min"),
        ),
        *((172_800, "2 d"), (2.5 * 86_400, "2 d 12 h"), (float("inf"), "too long")),
    ],
)
def test_a_duration_is_said_as_a_person_says_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    "at",
    [
        AT,
        AT.timestamp(),
        AT.isoformat(),
        "2026-03-01T09:42:07Z",
        "2026-03-01T09:42:07",
        AT.astimezone(timezone(timedelta(hours=5))),
    ],
)
def test_every_kind_of_time_has_one_form(at: Moment) -> None:
    assert when(at, AT + timedelta(minutes=12)) == "2026-03-01 09:42 UTC (12 min ago)"
    assert when(at, AT - timedelta(hours=3)) == "2026-03-01 09:42 UTC (in 3 h)"
    assert stamp(at) == "2026-03-01 09:42:07 UTC"


def test_the_age_is_that_of_now() -> None:
    assert re.fullmatch(r"2026-03-01 09:42 UTC \(\d+ d( \d+ h)? ago\)", when(AT))


def test_no_command_and_no_page_has_a_form_of_its_own() -> None:
    """A form's fields and a chart's axis have the browser's forms, which show no age."""
    own = {CLI / "view" / "times.py", CLI / "console" / "time_range.py", CLI / "console" / "static" / "charts.js"}
    files = [path for kind in ("*.py", "*.html", "console*.js") for path in CLI.rglob(kind) if path not in own]
    assert len(files) > 100
    assert [str(path) for path in files if _OTHER_FORMS.search(path.read_text())] == []
