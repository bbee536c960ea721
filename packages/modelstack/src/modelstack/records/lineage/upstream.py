"""The first half of a lineage: what a package was made from, how, and who signed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from modelstack.records.lineage.facts import Stack
from modelstack.records.lineage.graph import DIGITS, Edge, Node, Verb

if TYPE_CHECKING:
    from modelstack.records.provenance.facts import Facts

Part = Node | Edge


def upstream(digest: str, facts: Facts | None, stacks: Sequence[Stack]) -> Iterator[Part]:
    """Everything up to the package itself; `facts` is None if nothing is proven about it."""
    versions = [version for stack in stacks for version in stack.versions]
    more = {name: text for one in versions for name, text in one.more.items() if name.startswith("retrained_")}
    recipe = facts.recipe.digest if facts else next((one.recipe for one in versions), "")
    yield _package(digest, facts)
    yield from _keys(digest, stacks)
    if not recipe:
        return
    recipe_id, training = f"recipe:{recipe}", _training(digest, facts, more)
    parts = asdict(facts.recipe) if facts else {}
    shown = {name: parts[name] for name in ("code", "data", "dependencies", "format", "python") if parts}
    yield Node(recipe_id, "recipe", f"recipe {recipe[:DIGITS]}", facts={"digest": recipe, **shown})
    for node in _inputs(facts) if facts else ():
        yield node
        yield Edge(node.id, recipe_id, Verb.USED)
    yield training
    yield Edge(recipe_id, training.id, Verb.TRAINED, training.at)
    yield Edge(training.id, digest, Verb.SEALED, training.at)
    if before := more.get("retrained_from"):
        yield _package(before, None)
        yield Edge(before, training.id, Verb.RETRAINED)


def training_id(digest: str) -> str:
    """The id of a package's training node."""
    return f"training:{digest}"


def job_of(facts: Facts | None) -> str:
    """The name of the training job that made a package; may be empty."""
    return str(facts.builder.training_job or "").rpartition("/")[2] if facts else ""


def _package(digest: str, facts: Facts | None) -> Node:
    label, known = f"package {digest.removeprefix('sha256:')[:DIGITS]}", {"digest": digest}
    if facts is None:
        return Node(digest, "package", label, facts=known)
    metrics = {one.name: one.value for one in facts.metrics}
    return Node(
        digest, "package", label, facts.builder.finished, {**known, "bytes": facts.package.size, "metrics": metrics}
    )


def _inputs(facts: Facts) -> Iterator[Node]:
    source, recipe = facts.source, facts.recipe
    version = {"version": facts.data_version} if facts.data_version else {}
    for one in facts.data:
        known = {"sha256": one.sha256, "bytes": one.size, "source": one.origin, **version}
        yield Node(f"data:{one.sha256}/{one.name}", "data", one.name, facts=known)
    if not facts.data:
        yield Node(f"data:{recipe.data}", "data", "training data", facts={"sha256": recipe.data, **version})
    commit = f"commit {source.commit[:DIGITS]}" if source.commit else "unknown commit"
    yield Node(f"commit:{source.commit or recipe.digest}", "commit", commit, facts=asdict(source))
    count = len(recipe.parameters)
    yield Node(f"parameters:{recipe.digest}", "parameters", f"{count} parameters", facts=dict(recipe.parameters))
    libraries = {one.name: one.version for one in facts.dependencies}
    locks = {"sha256": recipe.dependencies, "libraries": libraries}
    yield Node(f"locks:{recipe.dependencies}", "locks", f"{len(facts.dependencies)} locked libraries", facts=locks)


def _training(digest: str, facts: Facts | None, more: Mapping[str, str]) -> Node:
    if facts is None:
        return Node(training_id(digest), "training", "training", facts=dict(more))
    job, builder = job_of(facts), facts.builder
    label = f"training job {job}" if job else f"{builder.id.rpartition(':')[2]} build"
    known = {"builder": builder.id, "run": builder.invocation, "environment": asdict(facts.environment)}
    rows = {"trained_on": dict(facts.trained_on)} if facts.trained_on else {}
    return Node(training_id(digest), "training", label, builder.finished, {**known, **rows, **more})


def _keys(digest: str, stacks: Sequence[Stack]) -> Iterator[Part]:
    """The keys that signed it. A key may be known on several stacks, and verified on one of them."""
    found: dict[str, bool] = {}
    for stack in stacks:
        for key, verified in stack.keys.items():
            found[key] = found.get(key, False) or verified
    for key, verified in found.items():
        yield Node(f"key:{key}", "key", f"key {key}", facts={"key": key, "verified": verified})
        yield Edge(f"key:{key}", digest, Verb.SIGNED)
