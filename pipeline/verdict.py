"""Step `gate`: say whether the sealed package may be released.

Gives `verdict.json`: `passed`; `outcome` (`passed`, `refused` or `not_better`), `why` in words, and `misses`, the
bounds that are not kept. A model that may not be released is no failure of the step: what needs its pass is skipped.
"""

from __future__ import annotations

import json
import math

from pipeline.contract import Refusal
from pipeline.gate import GateError, judged
from pipeline.given import Given
from pipeline.pack import sealed_in
from pipeline.recipe import canonical
from pipeline.steps import COMPARED, VERDICT


def main(given: Given) -> None:
    """Run the step."""
    sealed = sealed_in(given.folders["seal"])
    compared = json.loads((given.folders["compare"] / COMPARED).read_bytes())
    try:
        said = judged(sealed.metrics, given.json("gates"), compared, _gain(given.texts["min_gain"]))
    except GateError as error:
        raise Refusal(str(error)) from None
    print(said["outcome"].replace("_", " "))
    (given.out / VERDICT).write_text(canonical(said))


def _gain(text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Refusal(f"min_gain: {text!r} is not allowed: expected a number, or nothing")
    return value
