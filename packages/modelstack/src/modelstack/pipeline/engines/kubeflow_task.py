"""The program in the container of a step in Kubeflow Pipelines.

    python -m modelstack.pipeline.engines.kubeflow_task '{"inputs": ..., "outputs": ...}' train --in data=FOLDER ...
    --out FOLDER python -m modelstack.pipeline.engines.kubeflow_task --refused gate FOLDER

The first form runs `python -m modelstack.pipeline.run` with all words but the first, within the step's timeout. It
refuses input outcomes whose digest differs from that in `inputs`, and writes the outcome's digest, and whether a
verdict passed, to the file in `outputs`. A cluster finds written artifacts by itself, but `kfp.local` needs them listed
there.

The second form prints why a verdict did not pass. Status 4: refused, with step and reason on stderr.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from modelstack.pipeline import outcome, step
from modelstack.pipeline.outcome import Spoiled
from modelstack.pipeline.step import StepFailed
from modelstack.pipeline.steps import PIPELINE, VERDICT, passed

REFUSED = "--refused"
DIGEST, PASSED = "digest", "passed"
"""Output parameters: of each step, and of each that gives a verdict."""


def main(words: Sequence[str]) -> int:
    """Run a step, or print a verdict's reason; returns the status."""
    if words[:1] == [REFUSED]:
        print(f"{words[1]} refused: {refusal(Path(words[2]), words[1])}", file=sys.stderr, flush=True)
        return step.REFUSED
    asked: Mapping[str, Any] = json.loads(words[0])
    name, out = words[1], Path(words[words.index("--out") + 1])
    try:
        _check_digests(name, words, asked.get("inputs", {}).get("parameterValues", {}))
        step.run(
            Path.cwd(),
            "modelstack.pipeline.run",
            words[1:],
            partial(print, flush=True),
            name=name,
            timeout=PIPELINE.step(name).timeout,
        )
    except StepFailed as error:
        print(error, file=sys.stderr, flush=True)
        return step.REFUSED if error.refused else 1
    _report(name, out, asked["outputs"])
    return 0


def _check_digests(name: str, words: Sequence[str], told: Mapping[str, Any]) -> None:
    """Refuse outcomes whose digest differs from the parameter `<step>--digest`."""
    taken = dict(word.split("=", 1) for flag, word in pairwise(words) if flag == "--in")
    for one in PIPELINE.steps_of(PIPELINE.step(name)):
        expected = told.get(f"{one}--{DIGEST}")
        try:
            found = outcome.read(Path(taken[one])).digest if expected is not None else None
        except Spoiled as error:
            raise StepFailed(name, f"refused: {error}", refused=True) from None
        if found != expected:
            why = f"the outcome of {one} has digest {found}, expected {expected}: another lies where it was put"
            raise StepFailed(name, f"refused: {why}", refused=True)


def _report(name: str, out: Path, outputs: Mapping[str, Any]) -> None:
    """Write the outputs of a step for Kubeflow."""
    made = outcome.read(out)
    parameters: dict[str, Any] = {DIGEST: made.digest}
    if VERDICT in made.files:
        parameters[PASSED] = passed(out)
    (artifact,) = outputs["artifacts"][name]["artifacts"]
    told = {**artifact, "metadata": {**artifact.get("metadata", {}), DIGEST: made.digest}}
    file = Path(outputs["outputFile"])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"parameterValues": parameters, "artifacts": {name: {"artifacts": [told]}}}))


def refusal(folder: Path, name: str) -> str:
    """Why the verdict in the outcome of a step did not pass; empty if it did."""
    try:
        outcome.verified(folder, name)
        return "" if passed(folder) else str(json.loads((folder / VERDICT).read_bytes())["why"])
    except Spoiled as error:
        return str(error)


def _stop(*_: object) -> None:
    """Exit, and end the step: without a handler the first process of a container ignores SIGTERM."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main(sys.argv[1:]))
