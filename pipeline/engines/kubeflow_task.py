"""What runs in the container of a step in Kubeflow Pipelines, as `pipeline.engines.kubeflow` asks for it.

    python -m pipeline.engines.kubeflow_task '{"inputs": ..., "outputs": ...}' train --in data=FOLDER ... --out FOLDER
    python -m pipeline.engines.kubeflow_task --refused gate FOLDER

The first runs `python -m pipeline.run` with all words but the first, as long as the step may take. It refuses an
outcome with another digest than its step told Kubeflow, which is the `inputs` of the first word. Then it writes, into
the file that the first word names, what Kubeflow is to know of the outcome: the digest, and whether a verdict passed. A
cluster reads the artifacts that were written without being told; `kfp.local` asks to be told, and is.

The second tells why a verdict did not pass. Status 4: refused, for a reason that stderr names, with the step.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline import outcome, step
from pipeline.outcome import Spoiled
from pipeline.step import StepFailed
from pipeline.steps import PIPELINE, VERDICT, passed

REFUSED = "--refused"
DIGEST, PASSED = "digest", "passed"
"""Output parameters: of each step, and of each that gives a verdict."""


def main(words: Sequence[str]) -> int:
    """Run a step, or tell of a verdict; returns the status."""
    if words[:1] == [REFUSED]:
        return _tell(words[1], Path(words[2]))
    asked: Mapping[str, Any] = json.loads(words[0])
    name, out = words[1], Path(words[words.index("--out") + 1])
    try:
        _check_digests(name, words, asked.get("inputs", {}).get("parameterValues", {}))
        step.run(Path.cwd(), "pipeline.run", words[1:], _say, name=name, timeout=PIPELINE.step(name).timeout)
    except StepFailed as error:
        print(error, file=sys.stderr, flush=True)
        return step.REFUSED if error.refused else 1
    _report(name, out, asked["outputs"])
    return 0


def _check_digests(name: str, words: Sequence[str], told: Mapping[str, Any]) -> None:
    """Refuse outcomes that are not those of which Kubeflow was told, each by the parameter `<step>--digest`."""
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
    """Write what Kubeflow is to know of an outcome."""
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


def _tell(name: str, folder: Path) -> int:
    print(f"{name} refused: {refusal(folder, name)}", file=sys.stderr, flush=True)
    return step.REFUSED


def _say(line: str) -> None:
    print(line, flush=True)


def _stop(*_: object) -> None:
    """End, and the step with it; the first process of a container dies of no signal by itself."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main(sys.argv[1:]))
