"""The bill of materials of a package: CycloneDX 1.6 (ECMA-424) with a model card, raw data and locked libraries.

What is unknown is left out.
"""

from __future__ import annotations

import uuid
from typing import Any

from modelstack.records.provenance.facts import DataFile, Dependency, Facts, Metric, canonical, purl, text
from modelstack.records.provenance.statement import SUBJECT

_MODEL = "model"
_SCOPE = {"serves": "required", "trains": "excluded"}
"""CycloneDX calls a component `excluded` that is not part of what runs."""


def bom(facts: Facts) -> bytes:
    """The bill of materials as canonical JSON, the content of bom.cdx.json."""
    digest = facts.package.digest.removeprefix("sha256:")
    libraries, data = [_library(one) for one in facts.dependencies], [_data(one) for one in facts.data]
    serves = [purl(one) for one in facts.dependencies if one.role == "serves"]
    return canonical(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, facts.package.digest).urn,
            "version": 1,
            "metadata": {"timestamp": facts.builder.finished, "component": _model(facts, digest)},
            "components": [*data, *libraries],
            "dependencies": [{"ref": _MODEL, "dependsOn": sorted([*serves, *(one["bom-ref"] for one in data)])}],
        }
    )


def _model(facts: Facts, digest: str) -> dict[str, Any]:
    settings = {f"parameter.{name}": text(value) for name, value in facts.recipe.parameters.items()}
    parts = {name: getattr(facts.recipe, name) for name in ("digest", "code", "data", "dependencies", "format")}
    return {
        "type": "machine-learning-model",
        "bom-ref": _MODEL,
        "name": SUBJECT,
        "version": facts.id,
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "modelCard": {
            "modelParameters": {"datasets": [{"ref": _ref(one)} for one in facts.data]},
            "quantitativeAnalysis": {"performanceMetrics": [_metric(one) for one in facts.metrics]},
        },
        "properties": [
            {"name": f"modelstack:{name}", "value": value}
            for name, value in sorted(
                {**{f"recipe.{name}": value for name, value in parts.items()}, **settings}.items()
            )
        ],
    }


def _metric(metric: Metric) -> dict[str, Any]:
    found: dict[str, Any] = {"type": metric.name, "value": text(metric.value)}
    if metric.interval is None:
        return found
    low, high = metric.interval.low, metric.interval.high
    return {**found, "confidenceInterval": {"lowerBound": text(low), "upperBound": text(high)}}


def _data(file: DataFile) -> dict[str, Any]:
    content = {"contents": {"url": file.origin}} if file.origin else {}
    return {
        "type": "data",
        "bom-ref": _ref(file),
        "name": file.name,
        "hashes": [{"alg": "SHA-256", "content": file.sha256}],
        "data": [{"type": "dataset", "name": file.name, "description": f"{file.size} bytes", **content}],
    }


def _library(library: Dependency) -> dict[str, Any]:
    """A library; its files are an external reference, as hashes of the component would claim that all are installed."""
    name = purl(library)
    files = [{"alg": "SHA-256", "content": one} for one in library.sha256]
    return {
        "type": "library",
        "bom-ref": name,
        "name": library.name,
        "version": library.version,
        "purl": name,
        "scope": _SCOPE[library.role],
        **({"externalReferences": [{"type": "distribution", "url": name, "hashes": files}]} if files else {}),
    }


def _ref(file: DataFile) -> str:
    return f"data:{file.name}"
