"""Runs one step: `python -m modelstack.pipeline.run STEP --in NAME=FOLDER --set NAME=TEXT --settings FILE --out
FOLDER`.

`modelstack.pipeline.steps` describes the contract of this command. It is the same for all engines, and itself sets what
makes the outcome reproducible.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from modelstack.pipeline import outcome, step
from modelstack.pipeline.checkout import checkout
from modelstack.pipeline.contract import RecipeError, Refusal
from modelstack.pipeline.forms import not_allowed
from modelstack.pipeline.inputs import check_unchanged
from modelstack.pipeline.steps import PIPELINE, VERDICT, Given, Pipeline, PipelineError, Step, function, passed
from modelstack.pipeline.texts import json_object, wrong


def main(arguments: list[str] | None = None) -> None:
    """Run a step; see `modelstack.pipeline.steps` for its status."""
    if any(os.environ.get(name) != value for name, value in step.alike().items()):
        # The hash seed is read when the interpreter starts, the thread counts when libraries load.
        words = sys.argv[1:] if arguments is None else arguments
        os.execve(
            sys.executable, [sys.executable, "-m", "modelstack.pipeline.run", *words], {**os.environ, **step.alike()}
        )
    step.end_with_parent()
    if os.getpid() == 1:  # without a handler the first process of a container ignores SIGTERM
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        one, folders, texts, out = _asked(PIPELINE, arguments)
        made = ran(PIPELINE, one, folders, texts, out)
    except (PipelineError, RecipeError, Refusal) as error:
        step.refuse(error)
    else:
        if os.environ.get(step.STARTED_BY_PIPE) != "1":  # else the parent reads the record
            print(f"outcome {made.digest}", flush=True)


def ran(
    pipeline: Pipeline, one: Step, folders: Mapping[str, Path], texts: Mapping[str, str], out: Path
) -> outcome.Outcome:
    """Run a step in this process, which runs nothing else; a Refusal means that nothing was recorded."""
    digests = {name: outcome.verified(folders[name], name).digest for name in pipeline.steps_of(one)}
    if one.only_if and not passed(folders[one.only_if]):
        raise Refusal(f"the {VERDICT} of {one.only_if} did not pass: {one.name} runs only if it does")
    made_of = outcome.made_of(pipeline, one, digests, texts)
    runs_model = "code" in one.takes
    code, raw_data = folders.get("code"), folders.get("raw_data")
    with checkout(code, raw_data, texts.get("code_digest", ""), out) as root:
        sys.path.insert(0, str(root))
        found = folders.get("data") if runs_model else None
        if found is not None:
            check_unchanged(root, found)
        made = finished(one, function(one.program), Given(root, folders, texts, out), made_of)
        if found is not None:
            check_unchanged(root, found)
    return made


def finished(one: Step, program: Callable[[Given], None], given: Given, made_of: Mapping[str, str]) -> outcome.Outcome:
    """Call the function of a step, and record what it wrote; refuses a non-empty output folder."""
    given.out.mkdir(parents=True, exist_ok=True)
    if there := next(given.out.iterdir(), None):
        raise Refusal(f"there is {there} already: expected an empty folder for what {one.name} gives")
    program(given)
    return outcome.record(one, given.out, made_of)


def _asked(pipeline: Pipeline, arguments: list[str] | None) -> tuple[Step, dict[str, Path], dict[str, str], Path]:
    """The step, its folders, its texts with defaults filled in, and where its outcome goes."""
    parser = argparse.ArgumentParser(
        prog="python -m modelstack.pipeline.run", description="Run one step of the pipeline."
    )
    parser.add_argument("step", help=", ".join(one.name for one in pipeline.steps))
    parser.add_argument(
        "--in", dest="folders", action="append", default=[], metavar="NAME=FOLDER", help="what it takes"
    )
    parser.add_argument("--set", dest="texts", action="append", default=[], metavar="NAME=TEXT", help="a text it takes")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="texts, as a JSON object; it may hold others")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where its outcome goes")
    given = parser.parse_args(arguments)
    one = pipeline.step(given.step)
    texts = {text.name: text.default for text in pipeline.texts_of(one)}
    texts |= _held(given.settings, texts) if given.settings else {}
    texts |= _named(one, given.texts, texts)
    may = {*pipeline.steps_of(one), *pipeline.folders_of(one)}
    folders = {name: Path(value).resolve() for name, value in _named(one, given.folders, may).items()}
    if lacks := [name for name in pipeline.steps_of(one) if name not in folders]:
        raise Refusal(f"--in {lacks[0]}=FOLDER is missing: the step takes {', '.join(pipeline.steps_of(one))}")
    problems = [f"{name}: there is no folder {path}" for name, path in folders.items() if not path.is_dir()]
    elsewhere = {other.name for other in pipeline.inputs} - {*one.takes}  # other steps may be given these
    if problems := [*problems, *wrong(pipeline.texts_of(one), texts, {*folders, *elsewhere})]:
        raise Refusal("\n".join(problems))
    return one, folders, texts, given.out.resolve()


def _held(settings: Path, may: Collection[str]) -> dict[str, str]:
    """The texts in a file that a step takes."""
    try:
        text = settings.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"--settings: {settings} cannot be read: {error}") from None
    held = {name: value for name, value in json_object("--settings", text).items() if name in may}
    if odd := [name for name, value in held.items() if not isinstance(value, str)]:
        raise Refusal(not_allowed(f"--settings: {odd[0]}", held[odd[0]], "a text"))
    return held


def _named(one: Step, given: list[str], may: Any) -> dict[str, str]:
    """`NAME=VALUE`, each of a name that the step takes."""
    found: dict[str, str] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or name not in may:
            raise Refusal(f"{word!r}: expected NAME=VALUE, with one of {', '.join(may) or 'no name'} for a name")
        found[name] = value
    return found


if __name__ == "__main__":
    main()
