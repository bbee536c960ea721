"""Facts about a package: its origin, its inputs and its metrics. None means unknown.

`modelstack.pipeline.origin` collects them. The same facts give the same JSON bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from modelstack.forms import FORMS, check


class FactsError(Exception):
    """The bytes are no facts that this version can read; the message names the field."""


@dataclass(frozen=True)
class SealedArchive:
    """The sealed archive; `digest` is `sha256:<hex>`, `manifest_sha256` hexadecimal."""

    digest: str
    size: int
    manifest_sha256: str


@dataclass(frozen=True)
class Recipe:
    """What determines the archive's bytes, see `modelstack.pipeline.recipe`. Digests are hexadecimal sha256."""

    digest: str
    code: str
    data: str
    dependencies: str
    format: str
    python: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """The git checkout that was built, all None outside git; `remote` is the URL of `origin` without credentials."""

    commit: str | None = None
    dirty: bool | None = None
    remote: str | None = None


@dataclass(frozen=True)
class DataFile:
    """One raw data file; `sha256` is hexadecimal.

    `origin` is its package (`pkg:pypi/NAME@VERSION`), or its path in the checkout; None if unknown.
    """

    name: str
    sha256: str
    size: int
    origin: str | None = None


@dataclass(frozen=True)
class Dependency:
    """One locked library; `serves` if the serving container has it, `trains` if only the build needs it.

    `sha256` is that of each file that the lock allows, hexadecimal; one of these was installed.
    """

    name: str
    version: str
    role: Literal["serves", "trains"]
    sha256: tuple[str, ...] = ()


@dataclass(frozen=True)
class Interval:
    """A confidence interval; `level` is its coverage, 0 to 1."""

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Metric:
    """An evaluation metric. Its interval assumes independent rows; None if the evaluation gives none."""

    name: str
    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class Environment:
    """What the steps ran on: such as `CPython 3.11.7`, `Linux`, `x86_64`, `glibc 2.36` (None if unknown)."""

    python: str
    system: str
    machine: str
    libc: str | None = None


@dataclass(frozen=True)
class Builder:
    """Who ran the steps.

    Attributes:
        id: A URI of the kind of builder.
        invocation: URL of the CI run, or ARN of the training job or pipeline execution; None on a person's machine.
        finished: When the archive was sealed, UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        job: ARN of the training job that built it, maybe of an earlier execution; None without one.
    """

    id: str
    invocation: str | None
    finished: str
    job: str | None = None

    @property
    def training_job(self) -> str | None:
        """ARN of the training job that ran the steps; None if none did."""
        return self.job or (self.invocation if ":training-job/" in (self.invocation or "") else None)


@dataclass(frozen=True)
class Facts:
    """All facts about a package; `data_version` is the model's name for its data, empty without one.

    `trained_on` is what the steps report about the training rows: how many, from when to when.
    """

    package: SealedArchive
    recipe: Recipe
    source: Source
    data: tuple[DataFile, ...]
    data_version: str
    dependencies: tuple[Dependency, ...]
    trained_on: Mapping[str, int | float | str]
    metrics: tuple[Metric, ...]
    environment: Environment
    builder: Builder
    form: int = FORMS["package facts"]

    @property
    def id(self) -> str:
        """The first 12 digits of the recipe, for people."""
        return self.recipe.digest[:12]

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return canonical(self)

    @classmethod
    def from_json(cls, content: bytes) -> Facts:
        """Read `to_json`; raises FactsError if they are none, or of a newer form."""
        try:
            check("package facts", msgspec.json.decode(content, type=_Form).form, FactsError)
            return msgspec.json.decode(content, type=cls)
        except msgspec.MsgspecError as error:
            raise FactsError(f"these are no facts of a package: {error}") from None


class _Form(msgspec.Struct):
    form: int


def canonical(value: object) -> bytes:
    """JSON that is the same for equal values: sorted keys, no spaces."""
    return msgspec.json.encode(value, order="sorted")


def text(value: object) -> str:
    """A parameter's value: a text as it is, others as canonical JSON."""
    return value if isinstance(value, str) else canonical(value).decode()


def purl(dependency: Dependency) -> str:
    """The package URL of a library."""
    return f"pkg:pypi/{dependency.name}@{dependency.version}"
