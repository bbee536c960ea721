"""Seal what the other steps wrote, with the model's code, into one archive.

The archive holds `manifest.json` (recipe, parameters, python, libraries, trained_with, server, files),
`model.joblib`, `features.json`, `reference.json`, `example.json`, `metrics.json` and `code/model/...`, the model's
folder as it was trained. It holds `evaluated.joblib` where another estimator was evaluated than the one that serves,
`answer.json` and `baseline.json` where answers are known, and `model.onnx` where the model has a fast form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import archive, outline, refit
from pipeline.locks import locked, trained_with
from pipeline.recipe import Recipe, canonical, model_files

ARCHIVE, SEALED = "model.tar.gz", "sealed.json"
"""Files of the outcome of the step `seal`."""


@dataclass(frozen=True)
class SealedPackage:
    """A model version, sealed.

    Attributes:
        path: The archive.
        digest: `sha256:<hex>` of its bytes.
        manifest_sha256: sha256 of its `manifest.json`, hexadecimal.
        metrics: Metric -> value of the evaluation.
        recipe: The recipe's digest.
    """

    path: Path
    digest: str
    manifest_sha256: str
    metrics: Mapping[str, float]
    recipe: str


@dataclass(frozen=True)
class Registered:
    """A package in the registry.

    Attributes:
        model_package_arn: The version in its group.
        archive_uri: `s3://bucket/packages/<digest>/model.tar.gz`; its JSON files lie beside it.
        package_digest: `sha256:<hex>` of the archive.
        manifest_sha256: sha256 of the archive's manifest, hexadecimal; what the container checks.
        recipe: The recipe's digest.
        image_uri: The image that serves it.
        metrics: Metric -> value of the evaluation.
    """

    model_package_arn: str
    archive_uri: str
    package_digest: str
    manifest_sha256: str
    recipe: str
    image_uri: str
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])


def pack(root: Path, recipe: Recipe, trained: Path, evaluated: Path, to: Path) -> SealedPackage:
    """Seal an archive.

    Args:
        root: The checkout the recipe was made from.
        recipe: What determines this version.
        trained: Folder that `train` wrote.
        evaluated: Folder that `evaluate` wrote.
        to: The archive to write.

    Raises:
        ArchiveError: A file of the model has a name that cannot be sealed.
    """
    named = [trained / name for name in (refit.SERVING, "reference.json", "features.json", archive.EXAMPLE)]
    beside = [evaluated / archive.BASELINE, evaluated / archive.FAST_FORM]
    may_be = [trained / refit.EVALUATED, trained / "answer.json", *beside]
    sealed = [*named, evaluated / "metrics.json", *(path for path in may_be if path.exists())]
    files: dict[str, bytes | Path] = {path.name: path for path in sealed}
    # Read once, so that what is digested is what is sealed, whatever happens in the folder meanwhile.
    files |= {f"code/{name}": path.read_bytes() for name, path in model_files(root).items()}
    manifest = canonical(
        {
            "recipe": recipe.digest,
            "parameters": recipe.parameters,
            "python": recipe.parts["python"],
            "libraries": locked(root / "requirements" / "serving.txt"),
            "trained_with": trained_with(root / "requirements", model_files(root)),
            "server": "own" if outline.own_server(root) else "usual",
            "files": {name: _sha256(content) for name, content in files.items()},
        }
    ).encode()
    digest = archive.seal({**files, archive.MANIFEST: manifest}, to)
    return describe(to, digest)


def sealed_in(folder: Path) -> SealedPackage:
    """The package in the outcome of the step `seal`, whose files were verified."""
    said = json.loads((folder / SEALED).read_bytes())
    return SealedPackage(folder / ARCHIVE, said["digest"], said["manifest_sha256"], said["metrics"], said["recipe"])


def describe(path: Path, digest: str | None = None) -> SealedPackage:
    """Read a sealed package back from its archive, every file checked.

    Args:
        path: The archive.
        digest: The digest it should have, `sha256:<hex>`; None if it is not known.

    Raises:
        ArchiveError: It is something else than was sealed.
    """
    manifest = archive.verify(path, digest)
    metrics = json.loads(archive.read(path, "metrics.json"))["summary"]
    found = digest or archive.package_digest(path)
    return SealedPackage(path, found, manifest.sha256, metrics, manifest.content["recipe"])


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
