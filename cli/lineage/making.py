"""The first half of a lineage: what a package was made of, how, and who signed it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cli.lineage.graph import Edge, Node
from cli.lineage.known import Stack, Version
from provenance.facts import Facts

DIGITS = 12
Part = Node | Edge


def made(digest: str, facts: Facts | None, stacks: Sequence[Stack]) -> Iterator[Part]:
    """Everything up to the package itself.

    Args:
        digest: The package's.
        facts: What is proven of it; None when nothing is.
        stacks: Those that know the package.
    """
    versions = [version for stack in stacks for version in stack.versions]
    told = _told(versions)
    recipe = facts.recipe.digest if facts else next((one.recipe for one in versions), "")
    yield Node(digest, "package", short(digest), _sealed_at(facts), _of_package(digest, facts))
    yield from _keys(digest, stacks)
    if not recipe:
        return
    yield Node(f"recipe:{recipe}", "recipe", f"recipe {recipe[:DIGITS]}", facts={"digest": recipe, **_of_recipe(facts)})
    if facts:
        yield from _inputs(facts, f"recipe:{recipe}")
    training = _training(digest, facts, told)
    yield training
    yield Edge(f"recipe:{recipe}", training.id, "trained", training.at)
    yield Edge(training.id, digest, "sealed", training.at)
    if before := told.get("retrained_from"):
        yield Node(before, "package", short(before), facts={"digest": before})
        yield Edge(before, training.id, "retrained")


def training_id(digest: str) -> str:
    """The id of the node of a package's making."""
    return f"training:{digest}"


def job_of(facts: Facts | None) -> str:
    """The name of the training job that made a package; empty when none did."""
    job = facts.builder.training_job if facts else None
    return job.rpartition("/")[2] if job else ""


def short(digest: str) -> str:
    """A digest as a person reads it."""
    return f"package {digest.removeprefix('sha256:')[:DIGITS]}"


def _sealed_at(facts: Facts | None) -> str:
    return facts.builder.finished if facts else ""


def _of_package(digest: str, facts: Facts | None) -> dict[str, Any]:
    if facts is None:
        return {"digest": digest}
    metrics = {one.name: one.value for one in facts.metrics}
    return {"digest": digest, "bytes": facts.package.size, "metrics": metrics}


def _of_recipe(facts: Facts | None) -> dict[str, Any]:
    if facts is None:
        return {}
    recipe = asdict(facts.recipe)
    return {name: recipe[name] for name in ("code", "data", "dependencies", "format", "python")}


def _inputs(facts: Facts, recipe: str) -> Iterator[Part]:
    data = [
        Node(
            f"data:{one.sha256}",
            "data",
            one.name,
            facts={"sha256": one.sha256, "bytes": one.size, "source": one.origin},
        )
        for one in facts.data
    ] or [Node(f"data:{facts.recipe.data}", "data", "training data", facts={"sha256": facts.recipe.data})]
    source, libraries = facts.source, facts.dependencies
    commit = f"commit {source.commit[:DIGITS]}" if source.commit else "unknown commit"
    inputs = [
        *data,
        Node(f"commit:{source.commit or facts.recipe.digest}", "commit", commit, facts=asdict(source)),
        Node(
            f"parameters:{facts.recipe.digest}",
            "parameters",
            f"{len(facts.recipe.parameters)} parameters",
            facts=dict(facts.recipe.parameters),
        ),
        Node(
            f"locks:{facts.recipe.dependencies}",
            "locks",
            f"{len(libraries)} locked libraries",
            facts={
                "sha256": facts.recipe.dependencies,
                "libraries": {one.name: one.version for one in libraries},
            },
        ),
    ]
    for node in inputs:
        yield node
        yield Edge(node.id, recipe, "used")


def _training(digest: str, facts: Facts | None, told: Mapping[str, str]) -> Node:
    if facts is None:
        return Node(training_id(digest), "training", "training", facts=dict(told))
    job, builder = job_of(facts), facts.builder
    label = f"training job {job}" if job else f"{builder.id.rpartition(':')[2]} build"
    ran = {"builder": builder.id, "run": builder.invocation, "environment": asdict(facts.environment)}
    rows = {"trained_on": dict(facts.trained_on)} if facts.trained_on else {}
    return Node(training_id(digest), "training", label, builder.finished, {**ran, **rows, **told})


def _told(versions: Sequence[Version]) -> dict[str, str]:
    """What a retraining wrote down; the same on every stack that has it."""
    return {
        name: value for version in versions for name, value in version.told.items() if name.startswith("retrained_")
    }


def _keys(digest: str, stacks: Sequence[Stack]) -> Iterator[Part]:
    """Who signed it: the same key may lie on more than one stack, and be proven on one of them."""
    found: dict[str, bool] = {}
    for stack in stacks:
        for key, verified in stack.keys.items():
            found[key] = found.get(key, False) or verified
    for key, verified in found.items():
        yield Node(f"key:{key}", "key", f"key {key}", facts={"key": key, "verified": verified})
        yield Edge(f"key:{key}", digest, "signed")
