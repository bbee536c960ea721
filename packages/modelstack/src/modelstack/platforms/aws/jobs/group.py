"""The program of a job of the pipeline: `python -m modelstack.platforms.aws.jobs.group GROUP REFUSALS`.

It runs the steps of a group of `modelstack.pipeline.steps` in order. A training job gets its texts in
`input/config/hyperparameters.json` and its folders in `input/data`, a processing job both in `processing/input`. The
outcomes go to `model` or `processing/output`, a folder for each step.

REFUSALS is `s3://bucket/key`. `<job>.json` below it says which step refused and why, or that an earlier job's output is
spoiled; `<job>.failed.json` says which step failed, with its last lines. `output/failure` or `output/message` has any
failure, at the length that SageMaker shows.

`OPT_ML` in the environment stands for /opt/ml, if a job runs as a process.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
import time
import traceback
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import boto3

from modelstack.pipeline import outcome, step
from modelstack.pipeline.engines.sagemaker import EXECUTION, Group, groups
from modelstack.pipeline.origin import by_execution, facts_of
from modelstack.pipeline.pack import sealed_in
from modelstack.pipeline.steps import PIPELINE, Pipeline, Step, passed
from modelstack.platforms.aws.jobs import ending
from modelstack.platforms.aws.jobs.ending import failed
from modelstack.records.provenance.evidence import FACTS

_ARTIFACTS = "model.tar.gz"


@dataclass(frozen=True)
class Layout:
    """The files of a job.

    Attributes:
        inputs: Has a folder for each input.
        settings: The file with its texts; None without texts.
        out: Takes a folder for each step.
        failure: The file that says why it failed.
    """

    name: str
    inputs: Path
    settings: Path | None
    out: Path
    failure: Path

    @classmethod
    def of(cls, opt_ml: Path, environ: Mapping[str, str]) -> Layout:
        """The layout of this process's job, below SageMaker's folder."""
        hyperparameters = opt_ml / "input/config/hyperparameters.json"
        if hyperparameters.exists():
            name = environ.get("TRAINING_JOB_NAME", "")
            return cls(name, opt_ml / "input/data", hyperparameters, opt_ml / "model", opt_ml / "output/failure")
        config = json.loads((opt_ml / "config/processingjobconfig.json").read_bytes())
        inputs = opt_ml / "processing/input"
        settings = next((inputs / "settings").glob("*.json"), None)
        return cls(
            config["ProcessingJobName"], inputs, settings, opt_ml / "processing/output", opt_ml / "output/message"
        )

    def folders(self, group: Group, unpacked: Path) -> dict[str, Path]:
        """Input or step -> its folder, after unpacking a training job's archive; missing inputs are left out."""
        found = {name: self.inputs / name for name in group.folders if _holds_something(self.inputs / name)}
        for name in group.groups:
            of_group = self.inputs / name
            if (of_group / _ARTIFACTS).is_file():
                _unpack(of_group / _ARTIFACTS, unpacked / name)
                of_group = unpacked / name
            made = {folder.name: folder for folder in of_group.iterdir() if folder.is_dir()}
            for of_step, folder in made.items():
                outcome.verified(folder, of_step)
            found |= made
        return found


def main(arguments: list[str], opt_ml: Path) -> int:
    """Run the job and return the exit status."""
    by_name = {group.name: group for group in groups(PIPELINE)}
    if len(arguments) != 2 or arguments[0] not in by_name:
        print(f"expected one of {', '.join(by_name)}, and s3://bucket/key, got {arguments}", file=sys.stderr)
        return 2
    name, refusals = arguments
    layout = Layout.of(opt_ml, os.environ)
    try:
        with TemporaryDirectory(prefix="group-", dir=opt_ml) as unpacked:
            run(PIPELINE, by_name[name], layout, Path(unpacked))
    except outcome.Spoiled as error:
        why = f"what an earlier job left is not as it was made: {error}"
        status = failed(why, layout.failure, step.REFUSED)
        _tell(f"{refusals}/{layout.name}.json", {"step": name, "why": why, "spoiled": True})
        return status
    except step.StepFailed as error:
        status = failed(str(error), layout.failure, step.REFUSED if error.refused else 1)
        name = layout.name if error.refused else f"{layout.name}.failed"
        _tell(f"{refusals}/{name}.json", {"step": error.step, "why": str(error)})
        return status
    except Exception as error:
        traceback.print_exc()
        return failed(f"{type(error).__name__}: {error}", layout.failure)
    return 0


def run(pipeline: Pipeline, group: Group, layout: Layout, unpacked: Path) -> None:
    """Run the steps of a group; `Spoiled` if an earlier job's output is not as it was made, before any step has run."""
    folders = layout.folders(group, unpacked)
    if (execution := os.environ.get(EXECUTION)) and "seal" in folders:
        _name(execution, folders["seal"])
    for one in group.steps:
        if one.only_if is not None and not passed(folders[one.only_if]):
            print(f"{one.name} is left out: {one.only_if} did not pass", flush=True)
            continue
        out = layout.out / one.name
        print(f"{one.name}: {one.says}", flush=True)
        _tried(one, command(pipeline, one, folders, layout.settings, out), out)
        folders[one.name] = out


def command(pipeline: Pipeline, one: Step, folders: Mapping[str, Path], settings: Path | None, out: Path) -> list[str]:
    """The command line of a step, behind `python -m modelstack.pipeline.run`."""
    taken = [name for name in (*pipeline.steps_of(one), *pipeline.folders_of(one)) if name in folders]
    words = [one.name, *(f"--in={name}={folders[name]}" for name in taken)]
    return [*words, *([f"--settings={settings}"] if settings else []), f"--out={out}"]


def _tried(one: Step, words: list[str], out: Path) -> None:
    """Run a step with its retries."""
    for attempt in range(one.retries + 1):
        try:
            step.run(
                *(Path.cwd(), "modelstack.pipeline.run", words),
                lambda line: print(line, flush=True),
                name=one.name,
                timeout=one.timeout,
            )
        except step.StepFailed as error:
            if error.refused or attempt == one.retries:
                raise
            print(f"{error}\ntrying it again, {attempt + 2} of {one.retries + 1}", flush=True)
            shutil.rmtree(out, ignore_errors=True)  # a step wants an empty folder
            time.sleep(2**attempt)
        else:
            return


def _name(execution: str, seal: Path) -> None:
    """Record the execution that releases a package next to it, before that is signed."""
    facts = by_execution(facts_of(sealed_in(seal)), execution)
    outcome.replaced(seal, FACTS, facts.to_json())


def _unpack(archive: Path, into: Path) -> None:
    """Unpack the output of a training job, or raise `Spoiled`."""
    try:
        with tarfile.open(archive) as opened:
            for one in opened:  # by hand, since Python 3.11.2 of Debian has no filters
                place = PurePosixPath(one.name)
                if not (one.isfile() or one.isdir()) or place.is_absolute() or ".." in place.parts:
                    raise outcome.Spoiled(f"{archive}: {one.name} is no file or folder within it")
                opened.extract(one, into, set_attrs=False)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        said = str(error).partition("\n")[0]
        raise outcome.Spoiled(f"{archive} cannot be unpacked: {said}") from None


def _holds_something(folder: Path) -> bool:
    return any(path.is_file() and path.stat().st_size for path in folder.rglob("*"))


def _tell(uri: str, said: Mapping[str, Any]) -> None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3: Any = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(said).encode(), ContentType="application/json")


if __name__ == "__main__":
    ending.run(main)
