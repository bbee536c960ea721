"""The parameters of a search for a prediction, and its progress from page to page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelstack.monitoring.predictions import EVER, LONGEST, MOST, Window
from modelstack.rollout.core.errors import RolloutError

FOREVER = 4_102_444_800.0  # epoch seconds, in 2100
_TOGETHER = 120.0  # seconds within which what several variants answered to one request has come


@dataclass(frozen=True)
class PredictionQuery:
    """A search for a prediction by its id, or by a prefix of it unless `whole`.

    Captures from `before` on have been searched, epoch seconds; None: none have.
    """

    word: str
    whole: bool = False
    window: Window = EVER
    before: float | None = None

    @classmethod
    def of(cls, told: Mapping[str, str]) -> PredictionQuery:
        """Parse the parameters of a request; raises RolloutError, which names the parameter."""
        word = told.get("id", "")
        if not 0 < len(word) <= LONGEST:
            raise RolloutError(f"id: got {len(word)} characters, expected 1 to {LONGEST}")
        since, until, before = (_time(told, name) for name in ("since", "until", "before"))
        window = Window(-math.inf if since is None else since, math.inf if until is None else until)
        return cls(word, told.get("whole") == "true", window, before)

    def as_dict(self) -> dict[str, str]:
        """The parameters of the request."""
        times = {"since": self.window.since, "until": self.window.until, "before": self.before}
        told = {name: repr(at) for name, at in times.items() if at is not None and math.isfinite(at)}
        return {"id": self.word, "whole": "true" if self.whole else "false", **told}

    def then(self, told: Mapping[str, Any]) -> PredictionQuery | None:
        """The query for the next page; None at the end.

        After an exact match only captures of about the same time are searched: other variants' responses to it.
        """
        before, exact = told["before"], bool(told["exact"])
        if before is None:
            return None
        since = max(self.window.since, before - _TOGETHER) if exact else self.window.since
        whole = self.whole or exact or len(told["begun"]) >= MOST
        return PredictionQuery(self.word, whole, Window(since, self.window.until), before)


def _time(told: Mapping[str, str], name: str) -> float | None:
    text = told.get(name, "")
    try:
        at = float(text) if text else None
    except ValueError:
        at = math.nan
    if at is not None and not 0 <= at <= FOREVER:
        raise RolloutError(f"{name}: got {text[:40]!r}, expected epoch seconds up to {FOREVER:.0f}")
    return at
