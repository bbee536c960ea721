"""Built by the local engine: each step a process of this machine, as `pulumi up` does by default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from demos import ROOT
from demos.builds.digest_comparison import PACKAGE
from modelstack.cli.errors import OperatorError
from modelstack.pipeline import outcome
from modelstack.pipeline.build import GateRefused, StepFailed, build
from modelstack.pipeline.contract import ContractBroken
from modelstack.pipeline.pack import SEALED, sealed_in
from modelstack.pipeline.recipe import Recipe
from modelstack.pipeline.steps import PIPELINE


def digests(wanted: Recipe, gates: Mapping[str, Any], progress: Callable[[str], None]) -> dict[str, str]:
    """Build, and give step -> digest of its outcome, and that of the package; nothing is built twice.

    Args:
        wanted: What to build.
        gates: Metric -> `min` and/or `max`.
        progress: Called with a line at a time.

    Raises:
        OperatorError: A step refused or failed, or the gates refuse the model.
    """
    ahead = [one.name for one in PIPELINE.order() if one.cached]

    def passed(steps: int) -> None:
        """Tell of so many steps ahead that they did not run."""
        if kept := ahead[:steps]:
            progress(f"{', '.join(kept)}: kept from an earlier build")
        del ahead[:steps]

    def told(line: str) -> None:
        if (step := line.partition(":")[0]) in ahead:
            passed(ahead.index(step))
            ahead.remove(step)
        progress(line)

    try:
        folder = build(ROOT, wanted, gates, progress=told).path.parents[1]
    except (StepFailed, GateRefused, ContractBroken) as error:
        raise OperatorError(str(error)) from None
    passed(len(ahead))
    return left(folder)


def left(folder: Path) -> dict[str, str]:
    """Step -> digest of the outcome that a run has left in its folder; but of steps that change something outside.

    The digest of the package itself is among them.
    """
    made = {one.name: outcome.read(folder / one.name).digest for one in PIPELINE.order() if one.cached}
    package = next(sealed_in(folder / one.name).digest for one in PIPELINE.steps if SEALED in one.gives)
    return {**made, PACKAGE: package}
