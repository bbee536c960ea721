"""Fetches or builds the two packages, verifies and unpacks them, and runs both on the same rows.

No code of a package runs before it is verified.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelstack.cli.errors import UNKNOWN, OperatorError, explained
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.report.compared import Answered, Compared, NotComparable, compared
from modelstack.cli.report.facts import Missing, PackageFacts
from modelstack.cli.target import Target, project_root
from modelstack.monitoring.drift.reference import Reference
from modelstack.monitoring.statistics.profile import UnreadableProfile
from modelstack.pipeline import archive, step
from modelstack.pipeline.build import build, shared
from modelstack.pipeline.checkout import lay_out, sealed_elsewhere
from modelstack.pipeline.contract import RecipeError, Refusal
from modelstack.pipeline.gate import GateError, GateRefused, gate
from modelstack.pipeline.origin import OriginError
from modelstack.pipeline.recipe import canonical, recipe
from modelstack.pipeline.step import StepFailed
from modelstack.services.platform_registry import platform
from modelstack.services.sealed_packages import RegistryError

REFUSALS = (archive.ArchiveError, GateError, OriginError, RecipeError, Refusal, StepFailed)
Say = Callable[[str], None]


@dataclass(frozen=True)
class ComparedVersion:
    """A verified package, unpacked on this machine."""

    package: PackageFacts
    folder: Path
    manifest: archive.Manifest


def opened(path: Path, digest: str, folder: Path) -> ComparedVersion:
    """Verify and unpack an archive; ArchiveError if it is not what was sealed."""
    manifest = archive.verify(path, digest)
    archive.unpack(path, folder)
    told = archive.documents(path)
    metrics = json.loads(told["metrics.json"])
    try:
        profile = Reference.from_dict(json.loads(told["reference.json"])).profile
    except (UnreadableProfile, ValueError, KeyError):
        profile = None
    package = PackageFacts(
        digest,
        manifest.content["recipe"],
        path.stat().st_size,
        manifest.content["parameters"],
        metrics["summary"],
        metrics["training"],
        profile,
        archive.FAST_FORM in manifest.content["files"],
    )
    return ComparedVersion(package, folder, manifest)


def bring(target: Target, release: Mapping[str, Any], to: Path) -> None:
    """Write the archive of a release into a file, from a bucket or a registry of images; RegistryError if that fails.

    `release` has `archive_uri` and `package_digest`, and if taken from another stack, its platform and access fields.
    """
    archive_uri, digest = str(release["archive_uri"]), str(release["package_digest"])
    there = release.get("platform")
    store = platform(there).use("origin")(release).store if there else platform_of(target).package_store().store
    store.fetch(archive_uri, digest, to)


def fetched(
    release: Mapping[str, Any], folder: Path, fetch: Callable[[Mapping[str, Any], Path], None]
) -> ComparedVersion:
    """Download a release's package into a new folder; `fetch` is as `bring`. A restored one has no `manifest_sha256`.

    OperatorError if it cannot be read, or is not what was released.
    """
    folder.mkdir(parents=True)
    path, digest = folder / "model.tar.gz", str(release["package_digest"])
    with explained(f"reading {release['archive_uri']}"):
        try:
            fetch(release, path)
            found = opened(path, digest, folder / "sealed")
        except RegistryError as error:
            raise OperatorError(str(error), exit_code=UNKNOWN) from error
        except archive.ArchiveError as error:
            raise OperatorError(str(error)) from error
    if release.get("manifest_sha256", found.manifest.sha256) != found.manifest.sha256:
        raise OperatorError(f"{release['archive_uri']}: its manifest has another sha256 than the release")
    return found


def built(
    root: Path, parameters: Mapping[str, Any], gates: Mapping[str, Any], folder: Path, say: Say
) -> tuple[ComparedVersion, str, float]:
    """Build a checkout's model unless it was built before; raises one of `REFUSALS` if that fails.

    Returns the version, why it is below its gates (or empty), and seconds of training (0 without any).
    """
    wanted, begun = recipe(root, parameters), time.monotonic()
    known = (shared() / "packages" / wanted.digest / "seal").exists()
    sealed = build(root, wanted, progress=say)
    trained = 0.0 if known else time.monotonic() - begun
    try:
        gate(sealed.metrics, gates)
        below = ""
    except GateRefused as error:
        below = str(error)
    return opened(sealed.path, sealed.digest, folder / "sealed"), below, trained


def on_same_rows(champion: ComparedVersion, challenger: ComparedVersion, folder: Path, say: Say) -> Compared | Missing:
    """Run both on the rows that neither has seen, each with its own code, and compare."""
    if differs := sealed_elsewhere(champion.manifest.content, project_root()):
        return Missing(differs)
    before, after = champion.package.parameters, challenger.package.parameters
    rows = [dict(after)] if after == before else [{**before, **after}, dict(before)]
    try:
        with ThreadPoolExecutor(2) as side_by_side:
            asked = side_by_side.submit(_answered, challenger, [dict(after)], folder / "challenger", say)
            one = _answered(champion, rows, folder / "champion", say)
            other = asked.result()
        return compared(one, other)
    except (StepFailed, NotComparable) as error:
        return Missing(str(error))


def _answered(version: ComparedVersion, rows: list[dict[str, Any]], folder: Path, say: Say) -> Answered:
    """Answers to the first choice of rows that the version's code accepts and that it has not seen."""
    folder.mkdir(parents=True)
    lay_out(version.folder / "code" / "model", folder / "root", project_root())
    out = folder / "answered.json"
    for place, parameters in enumerate(rows):
        asked = ["--parameters", canonical(parameters), "--model", str(version.folder), "--out", str(out)]
        try:
            step.run(folder / "root", "modelstack.pipeline.answered", ["--evaluated", "--details", *asked], say)
            break
        except StepFailed:
            if place == len(rows) - 1:
                raise
    return Answered.from_dict(json.loads(out.read_text()))
