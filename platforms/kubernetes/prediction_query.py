"""Which prediction is looked for, and how far has that come? The parameters of a call to the controller.

Wanted.of({"id": "order-17"})      # raises where a parameter is wrong
wanted.then(answer)                # what to ask next; None at the end
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.predictions import EVER, LONGEST, MOST, Window
from rollout.core.errors import RolloutError

FOREVER = 4_102_444_800.0
"""Epoch seconds, in 2100."""
_TOGETHER = 120.0  # seconds within which what several variants answered to one request has come


@dataclass(frozen=True)
class PredictionQuery:
    """What is looked for, and how far that has come.

    Attributes:
        word: The id, or the beginning of one.
        whole: Only an id that is the whole word counts.
        window: When the prediction was given.
        before: Captures that came before this time are left to be looked through, epoch seconds; None: all are.
    """

    word: str
    whole: bool = False
    window: Window = EVER
    before: float | None = None

    @classmethod
    def of(cls, told: Mapping[str, str]) -> PredictionQuery:
        """Read the parameters of a call.

        Raises:
            RolloutError: One is missing or wrong; the message names it.
        """
        word = told.get("id", "")
        if not 0 < len(word) <= LONGEST:
            raise RolloutError(f"id: got {len(word)} characters, expected 1 to {LONGEST}")
        since, until, before = (_time(told, name) for name in ("since", "until", "before"))
        window = Window(-math.inf if since is None else since, math.inf if until is None else until)
        return cls(word, told.get("whole") == "true", window, before)

    def as_dict(self) -> dict[str, str]:
        """The parameters of the call."""
        times = {"since": self.window.since, "until": self.window.until, "before": self.before}
        told = {name: repr(at) for name, at in times.items() if at is not None and math.isfinite(at)}
        return {"id": self.word, "whole": "true" if self.whole else "false", **told}

    def then(self, told: Mapping[str, Any]) -> PredictionQuery | None:
        """What to ask after an answer; None when all is looked through.

        Once something is found that is called so, only what came at about the same time is still looked for: what a
        shadow variant, or another one that was asked again, answered.
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
