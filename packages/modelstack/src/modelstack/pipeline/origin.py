"""The origin of a package: facts that are collected when it is sealed, and stored next to it for a later signature.

None of it is in the archive: the same recipe from another commit is the same package. So the facts are of the build
that really ran, and a checkout that finds the package takes them over. But if no commit had the code of that build, as
with a trial before the commit, the first commit that has it is named.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from modelstack.monitoring.labels.baseline import Baseline
from modelstack.monitoring.labels.performance import AUC, CALIBRATION_ERROR
from modelstack.monitoring.labels.quality import ABSOLUTE_ERROR, ACCURACY, LOG_LOSS, Form
from modelstack.monitoring.statistics.intervals import LEVEL
from modelstack.monitoring.statistics.intervals import Interval as Measured
from modelstack.pipeline import archive
from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.declared import raw_data
from modelstack.pipeline.forms import not_allowed
from modelstack.pipeline.locks import locked, locked_files, trained_with
from modelstack.pipeline.pack import SealedPackage
from modelstack.pipeline.recipe import Recipe, model_files, sha256_of
from modelstack.pipeline.texts import json_object
from modelstack.records.provenance import facts as said
from modelstack.records.provenance.evidence import FACTS
from modelstack.records.provenance.facts import (
    Builder,
    DataFile,
    Dependency,
    Environment,
    Facts,
    FactsError,
    Interval,
    Metric,
    Source,
)

BUILDER = "urn:modelstack:builder:"
INTERVALS = {
    "accuracy": ACCURACY,
    "log_loss": LOG_LOSS,
    "absolute_error": ABSOLUTE_ERROR,
    "auc": AUC,
    "calibration_error": CALIBRATION_ERROR,
}
"""Metric of an evaluation -> its name in `monitoring`, whose sums are sealed with their spread."""
_TRAINED_ON = ("rows", "first_event", "last_event", "last_label")
_SCHEMES = {"http", "https", "ssh", "git"}
_SECONDS = 60


class OriginError(Exception):
    """The origin of a package is unknown; the message says why."""


def collect(root: Path, recipe: Recipe, sealed: SealedPackage, known: Source | None = None) -> Facts:
    """Collect the origin of a package that was just sealed; `known` is what git says, None to run git here."""
    told = archive.documents(sealed.path)
    files, version = raw_data(root)
    parts = {name: text for name, text in recipe.parts.items() if name != "parameters"}
    trained: Mapping[str, Any] = json.loads(told["metrics.json"])["training"]
    return Facts(
        package=said.SealedArchive(sealed.digest, sealed.path.stat().st_size, sealed.manifest_sha256),
        recipe=said.Recipe(digest=recipe.digest, parameters=recipe.parameters, **parts),
        source=known or source(root),
        data=data(root, files),
        data_version=version,
        dependencies=dependencies(root),
        trained_on={name: trained[name] for name in _TRAINED_ON if name in trained},
        metrics=metrics(sealed.metrics, told),
        environment=environment(),
        builder=builder(os.environ, datetime.now(UTC)),
    )


def write(facts: Facts, sealed: SealedPackage) -> None:
    """Store the facts next to an archive."""
    path = sealed.path.with_name(FACTS)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(facts.to_json())
    partial.replace(path)


def facts_of(sealed: SealedPackage) -> Facts:
    """The facts that were stored next to an archive; raises OriginError if they are missing, or of another package."""
    path = sealed.path.with_name(FACTS)
    try:
        facts = Facts.from_json(path.read_bytes())
    except (FileNotFoundError, FactsError) as error:
        raise OriginError(f"where {sealed.digest} came from is not known: {error}") from None
    if facts.package.digest != sealed.digest:
        raise OriginError(f"{path} tells of {facts.package.digest}, the archive beside it is {sealed.digest}")
    return facts


def found_again(root: Path, sealed: SealedPackage) -> Facts | None:
    """The facts with the commit of a checkout with the same recipe, if no commit is known that has it; else None.

    Equal recipe digests mean equal code, data and locks. Raises OriginError if the origin is unknown.
    """
    facts = facts_of(sealed)
    if facts.source.commit is not None and facts.source.dirty is False:
        return None
    here = source(root)
    if here.commit is None or here.dirty is not False:
        return None
    return replace(facts, source=here, data=data(root, raw_data(root)[0]))


def read_source(name: str, text: str) -> Source | None:
    """What git says of a checkout, as the pipeline's caller reported it; None if not reported, Refusal if malformed."""
    told = json_object(name, text)
    commit, dirty, remote = (told.get(field) for field in ("commit", "dirty", "remote"))
    right = isinstance(commit, str | None) and isinstance(dirty, bool | None) and isinstance(remote, str | None)
    if not right or told.keys() - {"commit", "dirty", "remote"}:
        raise Refusal(not_allowed(name, text, "commit and remote, texts, and dirty, true or false"))
    return Source(commit, dirty, None if remote is None else public_url(remote)) if told else None


def source(root: Path) -> Source:
    """What git says of a checkout; empty if git does not track the model in it."""
    if _git(root, "ls-files", "--error-unmatch", "model/__init__.py") is None:
        return Source()
    changes = _git(root, "status", "--porcelain", "--", ".")
    url = _git(root, "remote", "get-url", "origin")
    return Source(
        _git(root, "rev-parse", "--verify", "HEAD"),
        None if changes is None else bool(changes),
        None if url is None else public_url(url),
    )


def public_url(url: str) -> str | None:
    """The URL of a repository without user, password, query and fragment; None for a local one."""
    if short := re.fullmatch(r"(?:[^@/:]+@)?([\w.-]{2,}):(?![/:])([^\s?#\\]+)", url):
        return f"ssh://{short[1]}/{short[2]}"
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        return None
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def data(root: Path, files: Mapping[str, Path]) -> tuple[DataFile, ...]:
    """The raw data files, by name, and the origin of each."""
    brought = _brought_by(files.values())
    return tuple(
        DataFile(name, sha256_of(path), path.stat().st_size, brought.get(path) or _inside(root, path))
        for name, path in sorted(files.items())
    )


def dependencies(root: Path) -> tuple[Dependency, ...]:
    """The libraries that the recipe names, with the files that the locks allow."""
    folder = root / "requirements"
    serving, app = locked_files(folder / "serving.txt"), locked_files(folder / "app.txt")
    trains = trained_with(folder, model_files(root))
    return (
        *(Dependency(name, at, "serves", serving[name]) for name, at in locked(folder / "serving.txt").items()),
        *(Dependency(name, at, "trains", app[name]) for name, at in trains.items()),
    )


def metrics(summary: Mapping[str, float], told: Mapping[str, bytes]) -> tuple[Metric, ...]:
    """The gated metrics, each with the interval of its sealed sums, if `told`, the archive's JSON members, has them."""
    measured: Mapping[str, Measured] = {}
    if archive.BASELINE in told and "answer.json" in told:
        form = Form.from_dict(json.loads(told["answer.json"]))
        baseline = Baseline.from_dict(json.loads(told[archive.BASELINE]))
        measured = baseline.performance.measures(binary=form.binary)
    return tuple(Metric(name, value, _interval(measured, name, value)) for name, value in sorted(summary.items()))


def environment() -> Environment:
    """The platform of this process."""
    libc = " ".join(filter(None, platform.libc_ver()))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return Environment(python, platform.system(), platform.machine(), libc or None)


def builder(environ: Mapping[str, str], now: datetime) -> Builder:
    """What runs this process, by its environment variables: a training job, a CI run, or a person's machine."""
    finished = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if job := environ.get("TRAINING_JOB_ARN"):
        return Builder(f"{BUILDER}sagemaker-training-job", job, finished)
    if environ.get("GITHUB_ACTIONS") == "true":
        server, repository, run = (environ.get(f"GITHUB_{one}") for one in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
        known = f"{server}/{repository}/actions/runs/{run}" if server and repository and run else None
        return Builder(f"{BUILDER}github-actions", known, finished)
    return Builder(f"{BUILDER}local", None, finished)


def by_execution(facts: Facts, execution: str) -> Facts:
    """The facts of a package that a pipeline execution (an ARN) releases; an earlier one may have built it."""
    told = facts.builder
    return replace(
        facts, builder=replace(told, id=f"{BUILDER}sagemaker-pipeline", invocation=execution, job=told.training_job)
    )


def _interval(measured: Mapping[str, Measured], name: str, value: float) -> Interval | None:
    """The interval of the measure of the same name; None if the model means another number by it."""
    found = measured.get(INTERVALS.get(name, ""))
    if found is None or not isfinite(found.low) or not isfinite(found.high) or not found.low <= value <= found.high:
        return None
    return Interval(found.low, found.high, LEVEL)


def _git(root: Path, *words: str) -> str | None:
    """The output of git in a folder; None if it fails or is not installed."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        run = subprocess.run(
            ["git", "--no-optional-locks", *words],
            cwd=root,
            env=own,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() if run.returncode == 0 else None


def _brought_by(paths: Iterable[Path]) -> dict[Path, str]:
    """Path -> package URL of the installed package whose record lists it."""
    wanted = {path.resolve(): path for path in paths if "site-packages" in path.resolve().parts}
    found: dict[Path, str] = {}
    for one in metadata.distributions() if wanted else ():
        record, place = f"\n{one.read_text('RECORD')}", Path(str(one.locate_file(""))).resolve()
        for resolved, path in wanted.items():
            if resolved.is_relative_to(place) and f"\n{resolved.relative_to(place).as_posix()}," in record:
                found[path] = f"pkg:pypi/{one.metadata['Name'].lower()}@{one.version}"
    return found


def _inside(root: Path, path: Path) -> str | None:
    """A path within the checkout; None for a file elsewhere, whose origin is unknown."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return None
