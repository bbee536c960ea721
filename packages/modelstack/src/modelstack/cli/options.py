"""Types of the command's options; their errors say what is allowed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from modelstack.rollout.reason import LONGEST
from modelstack.rollout.signs import ACTS

as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on standard output."
)

_DAY = re.compile(r"\d{4}-?\d{2}-?\d{2}")


class Number(click.FloatRange):
    """A number within bounds; not `nan`, which passes click's comparisons, and not infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See click."""
        try:
            number = super().convert(value, param, ctx)
        except click.BadParameter:
            number = math.nan
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number {_allowed(self)}.", param, ctx)
        return number


class Whole(click.IntRange):
    """A whole number within bounds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See click."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not a whole number {_allowed(self)}.", param, ctx)


class Delay(click.ParamType[float | str, str]):
    """A number of seconds, none, or known."""

    name = "seconds|known|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """See click."""
        if value in {"none", "known"}:
            return value
        try:
            return Number(0).convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message.rstrip('.')}; allowed are seconds, known, or none.", param, ctx)


class Day(click.DateTime):
    """A day, UTC."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """See click."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not a day. Give one as YYYY-MM-DD, such as 2013-03-01.", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """See click."""
        return "YYYY-MM-DD"


@dataclass(frozen=True)
class When:
    """A time in epoch seconds; `day` says that it stands for the whole day from then on."""

    at: float
    day: bool


class Time(click.ParamType[When, str]):
    """A time or a day, UTC unless it has a zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> When:
        """See click."""
        try:
            when = datetime.fromisoformat(value)
            at = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time. Give one in UTC, such as 2026-03-01T09:30, or a day.", param, ctx)
        return When(at, day=_DAY.fullmatch(value) is not None)


class Reason(click.ParamType[str, str]):
    """A person's reason, which is stored: one line, not blank, no control characters."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click."""
        words = " ".join(str(value).split())
        if not words:
            self.fail('it is blank. Say why, as in --reason "customers complain": it is kept.', param, ctx)
        if sign := ACTS.search(words):
            self.fail(
                f"it holds {sign[0]!r}, on which a terminal acts. Write it in signs that can be seen.", param, ctx
            )
        if len(words) > LONGEST:
            self.fail(f"it has {len(words):,} characters. At most {LONGEST:,} are kept.", param, ctx)
        return words


def _allowed(bounds: click.IntRange | click.FloatRange) -> str:
    return f"of at least {bounds.min:,}" if bounds.max is None else f"from {bounds.min:,} to {bounds.max:,}"
