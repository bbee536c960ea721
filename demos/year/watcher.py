"""Looks at the endpoint while the year passes, and calls what a schedule would be too slow for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from demos.year.observations import Now, Seen
from demos.year.plan import Doing
from modelstack.cli.errors import OperatorError, explained
from modelstack.cli.target import Target


class Watcher:
    """Looks, whenever it is ticked.

    The retrain function is called whenever an alarm or a job changes, and on a schedule of whole minutes: that is weeks
    of the data, so that a cool-down would end weeks late. So it is called between; what it does is the same.

    Args:
        target: The endpoint.
        call_s: Seconds between two calls.
        refused: Candidates, by their release, that are not to be released.
    """

    def __init__(self, target: Target, call_s: float, refused: Callable[[str], bool]) -> None:
        self._target, self._call_s, self._refused = target, call_s, refused
        self._called = time.monotonic()
        self.seen = Seen(target)
        self.updating = False
        self.now = Now()
        self.problems: dict[str, int] = {}

    @property
    def candidate(self) -> str:
        """The release that is to be put on trial now; empty when there is none."""
        found = self.now.candidate
        return found.release if found is not None and not self._refused(found.release) else ""

    @property
    def doing(self) -> Doing:
        """What days are to take longer for."""
        return "trial" if self.updating or self.candidate else self.now.doing

    def look(self) -> None:
        """Look once; what cannot be read now is read the next time."""
        try:
            self.now = self.seen.look()
        except OperatorError as error:
            self._note(error)

    def tick(self) -> None:
        """Look, and call the function when its time has come."""
        self.look()
        if time.monotonic() - self._called >= self._call_s:
            self._called = time.monotonic()
            self._call(f"{self._target.endpoint}-retrain")

    def _call(self, function: str) -> None:
        try:
            with explained(f"calling {function}"):
                answer: Mapping[str, object] = self._target.client("lambda").invoke(FunctionName=function)
            if answer.get("FunctionError"):
                raise OperatorError(f"{function} failed; its log says why")
        except OperatorError as error:
            self._note(error)

    def _note(self, error: OperatorError) -> None:
        self.problems[str(error)] = self.problems.get(str(error), 0) + 1
