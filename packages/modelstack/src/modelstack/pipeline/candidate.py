"""Retraining: the champion's own code, trained on a later window, becomes a candidate if it is better.

Nothing of the champion runs before its archive has the digest that it was released with. The same job has the same
outcome, byte by byte, and a package that is registered already is not registered again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from modelstack.pipeline import archive
from modelstack.pipeline.build import registered_in
from modelstack.pipeline.checkout import sealed_elsewhere
from modelstack.pipeline.comparison import Comparison
from modelstack.pipeline.contract import NothingNewer, RecipeError, Refusal
from modelstack.pipeline.declared import retrained
from modelstack.pipeline.engines import local
from modelstack.pipeline.engines.local import Here
from modelstack.pipeline.gate import Gates, check_gates
from modelstack.pipeline.inputs import recipe_in
from modelstack.pipeline.pack import ARCHIVE, Registered
from modelstack.pipeline.recipe import canonical
from modelstack.pipeline.step import StepFailed
from modelstack.pipeline.steps import COMPARED, PIPELINE, VERDICT

_TEXTS = ("through", "bucket", "group", "region", "signing_key", "report")
_CHAMPION = ("package_digest", "manifest_sha256", "archive_uri", "image_uri")


class JobError(Exception):
    """The job cannot start: its settings, the champion's archive or this environment are not as expected."""


@dataclass(frozen=True)
class Job:
    """A retraining job that learns from what was known at the beginning of `through`, YYYY-MM-DD.

    Attributes:
        champion: The serving release, with at least its digests, its archive and its image.
        report: The key of the report in the bucket.
        min_gain: How much lower the challenger's loss must be, with confidence; below 0, how much higher it may be.
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
        """Read a training job's hyperparameters, which are texts; raises JobError if one is missing or malformed."""
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
    """The result of a job: `better` with a candidate, `not_better` (not with confidence), `refused` or `nothing_new`.

    `changes` are the parameters that differ from the champion's. What the job did not get to is None.
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
            **vars(self),
            "changes": dict(self.changes),
            "package": None if self.package is None else _facts(self.package),
            "comparison": None if self.comparison is None else self.comparison.as_dict(),
        }


def retrain(job: Job, champion: Path, workdir: Path, here: Here, *, progress: Callable[[str], None] = print) -> Report:
    """Train a challenger in an empty folder, compare it with the champion, and register it if it is better."""
    known = _verified(job, champion)
    given, keep = workdir / "given", workdir / "outcomes"
    for folder in (given, keep):
        folder.mkdir()
    (given / ARCHIVE).symlink_to(champion.resolve())
    archive.unpack(champion, workdir / "champion")
    progress(f"verified the champion, {known['recipe'][:12]}")
    begun = Report("refused", "", job.through)
    try:
        changes = retrained(workdir / "champion" / "code", known["parameters"], job.through)
        begun = replace(begun, changes=changes)
        progress(f"training with {', '.join(f'{name} {value}' for name, value in changes.items())}")
        folders, texts = {"code": given, "champion": given}, _texts(job)
        found = local.run(
            *(PIPELINE, Path.cwd(), texts),
            keep=keep,
            groups=("build", "check", "release"),
            folders=folders,
            here=here,
            progress=progress,
        )
    except NothingNewer as error:
        return replace(begun, outcome="nothing_new", why=str(error))
    except (RecipeError, Refusal, StepFailed) as error:
        return replace(_seen(begun, keep), why=str(error))
    begun, registered = _seen(begun, keep), found["register"]
    return begun if registered is None else replace(begun, outcome="better", package=registered_in(registered))


def _texts(job: Job) -> dict[str, str]:
    """The job as texts of the pipeline."""
    digest = job.champion["package_digest"]
    lineage = {
        "retrained_from": digest,
        "retrained_through": job.through,
        "retrained_report": f"s3://{job.bucket}/{job.report}",
    }
    return {
        "code_digest": digest,
        "champion_digest": digest,
        "through": job.through,
        "gates": canonical(job.gates),
        "min_gain": repr(job.min_gain),
        "lineage": canonical(lineage),
    }


def _seen(begun: Report, keep: Path) -> Report:
    """The report, extended from the outcomes of finished steps."""
    if (keep / "data").is_dir():
        begun = replace(begun, recipe=recipe_in(keep / "data").digest)
    if (keep / "compare").is_dir():
        said = json.loads((keep / "compare" / COMPARED).read_bytes())["comparison"]
        begun = replace(begun, comparison=None if said is None else Comparison.from_dict(said))
    if (keep / "gate").is_dir():
        said = json.loads((keep / "gate" / VERDICT).read_bytes())
        outcome = "not_better" if said["outcome"] == "not_better" else "refused"
        begun = replace(begun, outcome=outcome, why=said["why"])
    return begun


def _verified(job: Job, path: Path) -> Mapping[str, Any]:
    """Verify the champion's archive, and return its manifest; nothing of it runs before."""
    try:
        manifest = archive.verify(path, job.champion["package_digest"])
        if manifest.sha256 != job.champion["manifest_sha256"]:
            found, expected = manifest.sha256, job.champion["manifest_sha256"]
            raise archive.ArchiveError(f"its manifest has sha256 {found}, expected {expected}")
    except (archive.ArchiveError, FileNotFoundError) as error:
        raise JobError(f"the champion's archive is refused, nothing of it was run: {error}") from None
    if differs := sealed_elsewhere(manifest.content, Path.cwd()):
        raise JobError(f"{differs}: retrain with the image of the champion's own libraries")
    return manifest.content


def _facts(package: Registered) -> dict[str, Any]:
    names = ("package_digest", "archive_uri", "manifest_sha256", "model_package_arn", "image_uri")
    return {**{name: getattr(package, name) for name in names}, "metrics": dict(package.metrics)}
