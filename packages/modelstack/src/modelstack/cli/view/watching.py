"""`modelstack watch`: takes snapshots, shows them, and ends with an exit code that reports the verdict."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import get_args

from rich.console import Console
from rich.live import Live

from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.page import Page, say
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.cli.view.awaited import Stands
from modelstack.cli.view.board import Board, news
from modelstack.cli.view.snapshot import Snapshot, moment, take
from modelstack.cli.view.times import stamp
from modelstack.rollout.controller.controller import Controller
from modelstack.rollout.controller.ports import Quantile, SignalQuery, Signals
from modelstack.rollout.core.decision import Decision, TrialObservations
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.core.verdict import Outcome

PROMOTED, TAKEN_BACK, NEEDS_A_PERSON, ON_TRIAL, NOT_TRIED = 0, 1, 4, 5, 6
"""Exit codes: promoted or no trial; rolled back or failed; waits for a person; on trial; withdrawn or superseded."""

_RESTING = ("idle", "none")
_WAITING = ("paused", "held")
_ENDED = (*_RESTING, *_WAITING)
_CODES = {"promoted": PROMOTED, "withdrawn": NOT_TRIED, "superseded": NOT_TRIED}
_BEFORE: Mapping[Stands | None, str] = {
    **dict.fromkeys(get_args(Outcome), "what was named has ended already: this command has waited for no verdict"),
    "promoted": "what was named was promoted already: this command has waited for no verdict",
    "rolled_back": "what was named was rolled back already: this command has waited for no verdict",
}
"""Warnings where the named rollout had ended before the first look."""
BEGINS_S = 600.0
"""How long a named rollout may take to begin, without --for."""
_AGAIN_S = 5.0  # until metrics that could not be read are queried again


@dataclass
class Remembered:
    """`Signals` that are queried again only when another window may have closed: polling costs no more."""

    signals: Signals
    time: Callable[[], float] = time.monotonic
    _last: tuple[object, float, TrialObservations] | None = field(default=None, repr=False)

    def read(self, ask: SignalQuery) -> TrialObservations:
        key = (ask.rollout_id, ask.start, ask.end // ask.window_seconds, ask.metrics, tuple(ask.pivots.items()))
        if self._last is not None and self._last[0] == key:
            _, at, seen = self._last
            if seen.windows is not None or self.time() - at < _AGAIN_S:
                return seen
        seen = self.signals.read(ask)
        self._last = (key, self.time(), seen)
        return seen

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile | None:
        return self.signals.quantile(variant, quantile, start, end)


class Looks:
    """Takes snapshots of one endpoint; packages are read again only when the phase or champion changed."""

    def __init__(self, target: Target, controller: Controller | None = None, *, with_packages: bool = True) -> None:
        self._target = target
        self._controller = controller or platform_of(target).controller(signals=self.signals)
        self._last: Snapshot | None = None
        self._with_packages = with_packages
        self.state = RolloutState(target.endpoint)
        self.decision: Decision | None = None

    @cached_property
    def signals(self) -> Signals:
        """The metrics of both versions, window by window."""
        return Remembered(platform_of(self._target).signals())

    def __call__(self) -> Snapshot:
        """Take a snapshot; OperatorError names a part that cannot be read."""
        with explained(f"looking at {self._target.endpoint}"):
            progress = self._controller.status()
        last, state = self._last, progress.state
        champion = state.champion.id if state.champion else None
        self.state, self.decision = state, progress.decision
        packages = None if self._with_packages else ()
        if last is not None and (last.phase, last.champion) == (str(state.phase), champion):
            packages = last.packages
        self._last = take(self._target, state=state, decision=progress.decision, packages=packages)
        return self._last


class Picture:
    """A picture on a terminal, redrawn at each look."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._seen: Snapshot | None = None

    def show(self, seen: Snapshot) -> None:
        """Draw it."""
        self._seen = seen
        self._live.update(Board(seen), refresh=True)

    def missed(self, error: OperatorError) -> None:
        """Draw the last picture with the error."""
        if self._seen is not None:
            self._live.update(Board(self._seen, str(error)), refresh=True)


class Lines:
    """A line for each change, with its time, without a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: Snapshot | None = None
        self._problem = ""

    def show(self, seen: Snapshot) -> None:
        """Print the changes."""
        for text in news(self._before, seen):
            self._say(seen.at, text)
        self._before, self._problem = seen, ""

    def missed(self, error: OperatorError) -> None:
        """Print an error once."""
        if str(error) != self._problem:
            self._problem = str(error)
            self._say(moment(time.time()), f"cannot look: {error}")

    def _say(self, at: str, text: str) -> None:
        self._console.print(f"{stamp(at)}  {text}", markup=False, highlight=False, soft_wrap=True)


class Stream:
    """One JSON object a look, each on a line."""

    def show(self, seen: Snapshot) -> None:
        """Print the whole snapshot."""
        say(json.dumps(seen.as_dict()))

    def missed(self, error: OperatorError) -> None:
        """Print an object with `at` and `problem` only."""
        say(json.dumps({"at": moment(time.time()), "problem": str(error)}))


def watch(
    look: Callable[[], Snapshot],
    *,
    every: float,
    seconds: float,
    until_verdict: bool,
    as_json: bool,
    named: Callable[[], Stands | None] | None = None,
    console: Console | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Poll every so many seconds until the time is over, or the trial is; returns the exit code, see `PROMOTED`.

    `seconds` 0 is for ever, except for a named rollout that does not begin. `until_verdict` stops also when only a
    person can continue. `named` returns the state of the named rollout at the last look.

    Raises:
        OperatorError: The first look failed; nothing to wait for is on trial or named; or the named rollout did not
            begin in time.
    """
    console = console or Page(markup=False, emoji=False)
    first = seen = look()
    if until_verdict and named is None and first.phase in _RESTING:
        raise _nothing_to_wait_for(first)
    begun = time.monotonic()
    stands = named() if named else None
    if stands in _BEFORE:
        say(_BEFORE[stands], err=True)
    with _view(console, as_json) as view:
        view.show(seen)
        while True:
            stands = named() if named else None
            if stands not in {None, "running"} or (named is None and until_verdict and seen.phase in _ENDED):
                break
            limit = seconds or (BEGINS_S if named and stands is None else 0.0)
            if limit and time.monotonic() - begun >= limit:
                break
            sleep(every)
            try:
                seen = look()
            except OperatorError as error:
                view.missed(error)
            else:
                view.show(seen)
    return _code_of_named(stands, first, seconds or BEGINS_S) if named else code_of(first, seen)


def _code_of_named(stands: Stands | None, first: Snapshot, seconds: float) -> int:
    if stands is None:
        raise OperatorError(
            f"what was named has not begun within {seconds:.0f} s on {first.endpoint}",
            "Does an update release it? --for waits longer.",
            ON_TRIAL,
        )
    return {"running": ON_TRIAL, "waiting": NEEDS_A_PERSON, **_CODES}.get(stands, TAKEN_BACK)


def _nothing_to_wait_for(seen: Snapshot) -> OperatorError:
    """An earlier verdict may be another release's, so it is reported and does not count."""
    last = seen.moved or seen.verdict
    known = f": the last verdict is {last['release']} {last['outcome'].replace('_', ' ')}" if last else ""
    return OperatorError(
        f"nothing is on trial on {seen.endpoint}{known}",
        "To wait for the release that an update is about to begin: modelstack watch --next --for 3600",
        2,
    )


@contextmanager
def _view(console: Console, as_json: bool) -> Iterator[Picture | Lines | Stream]:
    """The output, while it is in use; the last picture on a terminal stays."""
    if as_json:
        yield Stream()
    elif not console.is_terminal:
        yield Lines(console)
    else:
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            yield Picture(live)


def code_of(first: Snapshot, last: Snapshot) -> int:
    """The exit code. A verdict older than the first snapshot does not count."""
    if last.phase in _WAITING:
        return NEEDS_A_PERSON
    if last.phase not in _RESTING:
        return ON_TRIAL
    ended = last.moved or last.verdict
    new = ended != (first.moved or first.verdict)
    return _CODES.get(ended["outcome"], TAKEN_BACK) if ended and new else PROMOTED
