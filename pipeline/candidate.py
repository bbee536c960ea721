"""From a champion and a day to a candidate: the champion's own code, trained on a later window.

    report = retrain(job, Path("model.tar.gz"), workdir, register, progress=print)
    report.outcome          # better: it is registered and waits for approval; or why there is no candidate

Nothing of the champion is run before its archive has the digest that it was released with. Champion and challenger are
compared on the rows that the challenger was evaluated on, which neither has seen; each answers in a process of its own.
Of a challenger that is fitted once more on these (`pipeline.refit`), the estimator that was evaluated answers.
The same job has the same outcome, byte by byte, and a package that is registered already is not registered again.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline import archive, step
from pipeline.build import build
from pipeline.comparison import Comparison, compare
from pipeline.contract import DATA, NothingNewer, RecipeError, Refusal
from pipeline.declared import retrained
from pipeline.gate import GateRefused, Gates, check_gates
from pipeline.locks import locked
from pipeline.pack import Registered, SealedPackage
from pipeline.recipe import canonical, recipe
from pipeline.step import StepFailed

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("pipeline", "monitoring", "provenance", "serving", "requirements")
_TEXTS = ("through", "bucket", "group", "region", "signing_key", "report")
_CHAMPION = ("package_digest", "manifest_sha256", "archive_uri", "image_uri")


class JobError(Exception):
    """The job cannot begin: its settings, the champion's archive or this environment are not what they have to be."""


@dataclass(frozen=True)
class Job:
    """What is asked for.

    Attributes:
        through: The day, YYYY-MM-DD: what was known at its beginning is learned from.
        champion: The release that serves, with at least its digests, its archive and its image.
        gates: Metric -> `min` and/or `max`.
        bucket: Where the package goes.
        group: The model package group that it is registered in.
        region: The AWS region.
        signing_key: Which key signs the package, as its platform names it.
        report: The key in the bucket of what became of it.
        min_gain: By how much the challenger's loss has to be lower for sure, in the loss's unit; below 0, by how much
            it may be higher.
    """

    through: str
    champion: Mapping[str, str]
    gates: Gates
    bucket: str
    group: str
    region: str
    signing_key: str
    report: str
    min_gain: float = 0.0

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Job:
        """Read a training job's hyperparameters, which are texts.

        Raises:
            JobError: One is missing or of another form.
        """
        if missing := [name for name in (*_TEXTS, "champion", "gates") if not given.get(name)]:
            raise JobError(f"hyperparameters: {', '.join(missing)} missing")
        try:
            champion, gates = json.loads(given["champion"]), json.loads(given["gates"])
            check_gates(gates)
            gain = float(given.get("min_gain", 0))
            lacks = [name for name in _CHAMPION if not isinstance(champion.get(name), str)]
        except (AttributeError, TypeError, ValueError) as error:
            raise JobError(
                f"hyperparameters: {error}; expected JSON in champion and gates, a number in min_gain"
            ) from None
        if lacks or not math.isfinite(gain):
            raise JobError(f"hyperparameters: champion lacks {', '.join(lacks) or 'nothing'}, min_gain is {gain}")
        return cls(**{name: str(given[name]) for name in _TEXTS}, champion=champion, gates=gates, min_gain=gain)


@dataclass(frozen=True)
class Report:
    """What became of a job.

    Attributes:
        outcome: `better`: there is a candidate; `not_better`: no surely lower loss than the champion's; `refused`: by
            the gates, or for what is wrong with the model or its rows; `nothing_new`: no newer data.
        why: In words.
        through: The day that was asked for.
        changes: The parameters that differ from the champion's.
        recipe: The challenger's recipe; None where it has none.
        package: Where it is registered; None unless it is better.
        comparison: Champion and challenger; None where they were not compared.
    """

    outcome: Literal["better", "not_better", "refused", "nothing_new"]
    why: str
    through: str
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    recipe: str | None = None
    package: Registered | None = None
    comparison: Comparison | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "outcome": self.outcome,
            "why": self.why,
            "through": self.through,
            "changes": dict(self.changes),
            "recipe": self.recipe,
            "package": None if self.package is None else _facts(self.package),
            "comparison": None if self.comparison is None else self.comparison.as_dict(),
        }


Register = Callable[[SealedPackage, Mapping[str, str]], Registered]
"""Uploads and registers a sealed package, with where it comes from besides its recipe."""


def retrain(
    job: Job, champion: Path, workdir: Path, register: Register, *, progress: Callable[[str], None] = print
) -> Report:
    """Train a challenger, compare it with the champion, and register it if it is better.

    Args:
        job: What is asked for.
        champion: The champion's archive, as it was downloaded.
        workdir: An empty folder to work in.
        register: Puts the package where a stack finds it.
        progress: Called with a line at a time.

    Raises:
        JobError: The archive is not the champion's, or this environment is not the one that it was sealed in.
    """
    sealed, root = workdir / "champion", workdir / "root"
    known = _unpacked(job, champion, sealed)
    lay_out(sealed, root)
    progress(f"verified the champion, {known['recipe'][:12]}")
    begun = Report("refused", "", job.through)
    try:
        changes = retrained(root, known["parameters"], job.through)
        parameters = {**known["parameters"], **changes}
        wanted = recipe(root, parameters)
        begun = replace(begun, changes=changes, recipe=wanted.digest)
        progress(f"training {wanted.id} with {', '.join(f'{name} {value}' for name, value in changes.items())}")
        asked = ["--parameters", canonical(parameters), "--answer", str(sealed)]
        before = _losses(root, sealed, asked, progress)
        made = build(root, wanted, parameters, job.gates, workdir, progress=progress)
        archive.unpack(made.path, workdir / "challenger")
        after = _losses(root, workdir / "challenger", [*asked, "--evaluated"], progress)
    except NothingNewer as error:
        return replace(begun, outcome="nothing_new", why=str(error))
    except (GateRefused, RecipeError, Refusal, StepFailed) as error:
        return replace(begun, why=str(error))
    comparison = _compared(before, after)
    begun = replace(begun, outcome="not_better", why=_in_words(comparison, job.min_gain), comparison=comparison)
    if not comparison.better(job.min_gain):
        return begun
    progress(f"registering {made.digest}")
    lineage = {
        "retrained_from": job.champion["package_digest"],
        "retrained_through": job.through,
        "retrained_report": f"s3://{job.bucket}/{job.report}",
    }
    return replace(begun, outcome="better", package=register(made, lineage))


def _unpacked(job: Job, path: Path, folder: Path) -> Mapping[str, Any]:
    """Verify the champion's archive, unpack it, and return its manifest."""
    try:
        manifest = archive.verify(path, job.champion["package_digest"])
        if manifest.sha256 != job.champion["manifest_sha256"]:
            found, expected = manifest.sha256, job.champion["manifest_sha256"]
            raise archive.ArchiveError(f"its manifest has sha256 {found}, expected {expected}")
        archive.unpack(path, folder)
    except (archive.ArchiveError, FileNotFoundError) as error:
        raise JobError(f"the champion's archive is refused, nothing of it was run: {error}") from None
    content = manifest.content
    if differs := sealed_elsewhere(content):
        raise JobError(f"{differs}: retrain with the image of the champion's own libraries")
    return content


def sealed_elsewhere(manifest: Mapping[str, Any]) -> str:
    """How this environment differs from the one that a champion was sealed in; empty where it does not."""
    here, python = locked(ROOT / "requirements" / "app.txt"), f"{sys.version_info.major}.{sys.version_info.minor}"
    sealed: Mapping[str, str] = {**manifest["libraries"], **manifest["trained_with"]}
    differ = sorted(name for name, version in sealed.items() if here.get(name) != version)
    if manifest["python"] == python and not differ:
        return ""
    return (
        f"the champion was sealed with Python {manifest['python']}, this is Python {python}; other versions here of "
        f"{', '.join(differ) or 'no library'}"
    )


def lay_out(sealed: Path, root: Path) -> None:
    """A checkout of the champion's model and this pipeline, for the steps to run in."""
    shutil.copytree(sealed / "code" / "model", root / "model")
    for room in ROOMS:
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    if (ROOT / DATA).is_dir():
        (root / DATA).symlink_to(ROOT / DATA)  # large, and only read


def _losses(root: Path, sealed: Path, asked: list[str], progress: Callable[[str], None]) -> dict[str, Any]:
    """The losses of one of the two. What an answer means, the champion's package says for both."""
    out = sealed.with_suffix(".losses.json")
    step.run(root, "pipeline.losses", [*asked, "--model", str(sealed), "--out", str(out)], progress)
    return json.loads(out.read_text())


def _compared(champion: Mapping[str, Any], challenger: Mapping[str, Any]) -> Comparison:
    if (champion["loss"], champion["days"]) != (challenger["loss"], challenger["days"]):
        raise JobError("champion and challenger did not answer the same rows: data.evaluation has two outcomes")
    return compare(
        champion["loss"],
        champion=np.array(champion["losses"], np.float64),
        challenger=np.array(challenger["losses"], np.float64),
        times=None if champion["days"] is None else np.array(champion["days"], "datetime64[D]"),
    )


def _in_words(found: Comparison, min_gain: float) -> str:
    over = f"{found.rows:,} rows" + ("" if found.days is None else f" of {found.days} days")
    said = f"{found.loss} {found.challenger:.4f}, the champion's {found.champion:.4f}, on {over}: gain {found.gain:.4f}"
    if found.low is None or found.high is None:
        return f"{said}, of which nothing is sure: it takes more than one {'row' if found.days is None else 'day'}"
    return (
        f"{said}, 95% interval {found.low:.4f} to {found.high:.4f}; more than {min_gain:g} is asked for, beyond doubt"
    )


def _facts(package: Registered) -> dict[str, Any]:
    names = ("package_digest", "archive_uri", "manifest_sha256", "model_package_arn", "image_uri")
    return {**{name: getattr(package, name) for name in names}, "metrics": dict(package.metrics)}
