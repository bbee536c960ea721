"""Seals the outcomes of the steps, with the model's code, into one archive.

It holds `manifest.json` (recipe, parameters, python, libraries, trained_with, server, files), `model.joblib`,
`features.json`, `reference.json`, `example.json`, `metrics.json` and `code/model/...`, the model's folder as it was
trained. It has `evaluated.joblib` if another estimator was evaluated than the one that serves, `answer.json` and
`baseline.json` if answers are known, `model.onnx` if the model has a fast form, and `given.onnx` if training returned
an ONNX file; the manifest then names this file, or the one in the model's folder that serves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelstack.pipeline import archive, outline, refit
from modelstack.pipeline.locks import locked, trained_with
from modelstack.pipeline.recipe import Recipe, canonical, model_files, sha256_of

ARCHIVE, SEALED = "model.tar.gz", "sealed.json"
"""Files of the outcome of the step `seal`."""


@dataclass(frozen=True)
class SealedPackage:
    """A sealed model version; `digest` is `sha256:<hex>` of the archive, `recipe` the digest of its recipe."""

    path: Path
    digest: str
    manifest_sha256: str
    metrics: Mapping[str, float]
    recipe: str


@dataclass(frozen=True)
class Registered:
    """A package in the registry, with the digests of `SealedPackage`, as version `model_package_arn` of its group."""

    model_package_arn: str
    archive_uri: str
    package_digest: str
    manifest_sha256: str
    recipe: str
    image_uri: str
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])


def pack(root: Path, recipe: Recipe, trained: Path, evaluated: Path, to: Path) -> SealedPackage:
    """Seal an archive from the folders of `train` and `evaluate`, for the checkout that the recipe was made from."""
    named = [trained / name for name in (refit.SERVING, "reference.json", "features.json", archive.EXAMPLE)]
    beside = [evaluated / archive.BASELINE, evaluated / archive.FAST_FORM, evaluated / archive.GIVEN]
    may_be = [trained / refit.EVALUATED, trained / "answer.json", *beside]
    sealed = [*named, evaluated / "metrics.json", *(path for path in may_be if path.exists())]
    files: dict[str, bytes | Path] = {path.name: path for path in sealed}
    # Read once, so that digests match the sealed bytes even if the folder changes meanwhile.
    files |= {f"code/{name}": path.read_bytes() for name, path in model_files(root).items()}
    onnx = json.loads((evaluated / "metrics.json").read_bytes()).get("fast_form", {}).get("onnx")
    manifest = canonical(
        {
            **({"onnx": onnx} if onnx else {}),
            "recipe": recipe.digest,
            "parameters": recipe.parameters,
            "python": recipe.parts["python"],
            "libraries": locked(root / "requirements" / "serving.txt"),
            "trained_with": trained_with(root / "requirements", model_files(root)),
            "server": "own" if outline.own_server(root) else "usual",
            "files": {
                name: sha256_of(content) if isinstance(content, Path) else hashlib.sha256(content).hexdigest()
                for name, content in files.items()
            },
        }
    ).encode()
    digest = archive.seal({**files, archive.MANIFEST: manifest}, to)
    return describe(to, digest)


def sealed_in(folder: Path) -> SealedPackage:
    """The package in the outcome of the step `seal`, whose files were verified."""
    said = json.loads((folder / SEALED).read_bytes())
    return SealedPackage(folder / ARCHIVE, said["digest"], said["manifest_sha256"], said["metrics"], said["recipe"])


def describe(path: Path, digest: str | None = None) -> SealedPackage:
    """Read a sealed package back, checking every file, and the digest unless it is None."""
    manifest = archive.verify(path, digest)
    metrics = json.loads(archive.read(path, "metrics.json"))["summary"]
    found = digest or archive.package_digest(path)
    return SealedPackage(path, found, manifest.sha256, metrics, manifest.content["recipe"])
