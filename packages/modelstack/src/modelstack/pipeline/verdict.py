"""Step `gate`: decide whether the sealed package may be released.

Gives `verdict.json`: `passed`, `outcome` (`passed`, `refused` or `not_better`), `why`, and `misses`, the violated
bounds. A refused model is no failure of the step: later steps that need its pass are skipped.
"""

from __future__ import annotations

import json

from modelstack.pipeline.gate import judged
from modelstack.pipeline.pack import sealed_in
from modelstack.pipeline.recipe import canonical
from modelstack.pipeline.steps import COMPARED, VERDICT, Given
from modelstack.pipeline.texts import gates, number


def main(given: Given) -> None:
    """Run the step."""
    bounds, gain = gates("gates", given.texts["gates"]), number("min_gain", given.texts["min_gain"])
    sealed = sealed_in(given.folders["seal"])
    compared = json.loads((given.folders["compare"] / COMPARED).read_bytes())
    said = judged(sealed.metrics, bounds, compared, gain)
    print(said["outcome"].replace("_", " "))
    (given.out / VERDICT).write_text(canonical(said))
