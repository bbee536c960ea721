"""The local engine: each step is a process, and nothing runs twice.

    outcomes = run(PIPELINE, root, texts, keep=folder, groups=("build", "check"), progress=print)
    outcomes["seal"]                        # the folder with its outcome; None for a skipped step

The outcome of each step is a folder that appears complete or not at all, so an interrupted run resumes after the last
finished step. A stored outcome is reused if it was made of the same inputs and its files have their digests; a damaged
one is rebuilt. Steps run one after the other, with their declared retries and timeouts.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelstack.pipeline import outcome, step
from modelstack.pipeline.run import finished
from modelstack.pipeline.step import StepFailed
from modelstack.pipeline.steps import Given, Pipeline, PipelineError, Step, passed

PAUSE_SECONDS = 1.0
"""Wait before the first retry of a step; doubles each time."""
Here = Mapping[str, Callable[[Given], None]]
"""Step -> function, of steps that run in this process, whose clients have the credentials and retry."""


def run(
    pipeline: Pipeline,
    root: Path,
    texts: Mapping[str, str],
    *,
    keep: Path,
    groups: Collection[str],
    folders: Mapping[str, Path] | None = None,
    here: Here | None = None,
    progress: Callable[[str], None] = print,
) -> dict[str, Path | None]:
    """Run the steps of some groups; returns step -> the folder with its outcome, None of a skipped step.

    `texts` and `folders` are the pipeline's inputs; `keep` stores outcomes, also of earlier groups, for one run at a
    time. The steps in `here` run in this process. `progress` gets lines that begin with the step's name.

    Raises:
        StepFailed: A step refused or failed; earlier outcomes are stored. A step in this process raises its own error,
            with a note that names the step.
        PipelineError: A step takes from one that neither runs nor ran.
        Spoiled: A stored outcome of a step that does not run was changed.
    """
    machine = _Machine(pipeline, root, texts, keep, folders or {}, here or {}, progress)
    done: dict[str, Path | None] = {}
    for one in pipeline.order():
        if one.group in groups:
            done[one.name] = machine.outcome(one, done)
        elif (keep / one.name).is_dir():
            outcome.verified(keep / one.name, one.name)
            done[one.name] = keep / one.name
    return done


@dataclass(frozen=True)
class _Machine:
    """The common arguments of all steps of a run; see `run`."""

    pipeline: Pipeline
    root: Path
    texts: Mapping[str, str]
    keep: Path
    folders: Mapping[str, Path]
    here: Here
    progress: Callable[[str], None]

    def outcome(self, one: Step, done: Mapping[str, Path | None]) -> Path | None:
        """The folder with the outcome of a step: stored, or made now. None if the step is skipped."""
        takes = self.pipeline.steps_of(one)
        if lacks := [name for name in takes if name not in done]:
            raise PipelineError([f"step {one.name} takes from {lacks[0]}, which neither runs nor ran"])
        taken = {name: path for name in takes if (path := done[name]) is not None}
        if len(taken) < len(takes) or (one.only_if and not passed(taken[one.only_if])):
            return None
        given = {name: self.folders[name] for name in self.pipeline.folders_of(one) if name in self.folders}
        texts = {text.name: self.texts.get(text.name, text.default) for text in self.pipeline.texts_of(one)}
        digests = {name: outcome.read(path).digest for name, path in taken.items()}  # verified when they were found
        made_of = outcome.made_of(self.pipeline, one, digests, texts)
        folder = self.keep / one.name
        if self._stands(one, folder, made_of):
            return folder
        partial = folder.with_name(f"{one.name}.partial")
        self._made(one, {**taken, **given}, texts, partial, made_of)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        return folder

    def _stands(self, one: Step, folder: Path, made_of: Mapping[str, str]) -> bool:
        """Whether the stored outcome is intact and made of the same inputs."""
        known = bool(self.pipeline.steps_of(one)) or bool(made_of.get("recipe"))  # else the code may be another
        if not one.cached or not known or not folder.is_dir():
            return False
        try:
            return outcome.verified(folder, one.name).made_of == made_of
        except outcome.Spoiled as error:
            self.progress(f"{one.name}: the kept outcome is damaged and is made anew: {error}")
            return False

    def _made(
        self, one: Step, folders: Mapping[str, Path], texts: Mapping[str, str], out: Path, made_of: Mapping[str, str]
    ) -> None:
        """Run a step, with its retries."""
        for tried in range(one.retries + 1):
            shutil.rmtree(out, ignore_errors=True)
            try:
                if one.name in self.here:
                    self._here(one, Given(self.root, folders, texts, out), made_of)
                else:
                    self._process(one, folders, texts, out)
                return
            except StepFailed as error:
                if error.refused or tried == one.retries:
                    raise
                first = str(error).partition("\n")[0]
                self.progress(f"{first}; it is tried again ({tried + 2} of {one.retries + 1})")
                time.sleep(PAUSE_SECONDS * 2**tried)

    def _here(self, one: Step, given: Given, made_of: Mapping[str, str]) -> None:
        self.progress(f"{one.name}: {one.says}")
        try:
            finished(one, self.here[one.name], given, made_of)
        except Exception as error:
            error.add_note(f"{one.name} failed")
            raise

    def _process(self, one: Step, folders: Mapping[str, Path], texts: Mapping[str, str], out: Path) -> None:
        words = [word for name, path in folders.items() for word in ("--in", f"{name}={path}")]
        words += [word for name, text in texts.items() for word in ("--set", f"{name}={text}")]
        self.progress(f"{one.name}: {one.says}")
        step.run(
            self.root,
            "modelstack.pipeline.run",
            [one.name, *words, "--out", str(out)],
            lambda line: self.progress(f"{one.name}: {line}"),
            name=one.name,
            timeout=one.timeout,
        )
