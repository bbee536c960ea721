"""What is known of a package: where it came from, what it was made of, and what it was measured at.

    facts = Facts(package=Package("sha256:...", 907_123, "..."), ...)
    Facts.from_json(facts.to_json()) == facts            # canonical: the same facts, the same bytes

None stands for what is not known, as the commit of a build outside git. Nothing here is read from the machine: who
builds collects it (`pipeline.origin`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

FORM = 1
"""Of the JSON; another number is another form."""


class FactsError(Exception):
    """Bytes are no facts that this version can read; the message names the field."""


@dataclass(frozen=True)
class Package:
    """The sealed archive.

    Attributes:
        digest: `sha256:<hex>` of its bytes.
        size: Its bytes.
        manifest_sha256: Of the list of its files that lies in it, hexadecimal.
    """

    digest: str
    size: int
    manifest_sha256: str


@dataclass(frozen=True)
class Recipe:
    """What determines the archive's bytes; `pipeline.recipe` says how each digest is made.

    Attributes:
        digest: sha256 over the parts, hexadecimal.
        code: sha256 of the model's code.
        data: sha256 of the raw data files.
        dependencies: sha256 of the locked dependencies.
        format: Version of the archive's form and of the steps.
        python: Major and minor.
        parameters: Name -> value, defaults included.
    """

    digest: str
    code: str
    data: str
    dependencies: str
    format: str
    python: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """The checkout that was built, as git knows it; all None outside git.

    Attributes:
        commit: Its commit, hexadecimal.
        dirty: Whether files differed from that commit, or were there beside it.
        remote: URL of `origin`, without credentials; None where there is none.
    """

    commit: str | None = None
    dirty: bool | None = None
    remote: str | None = None


@dataclass(frozen=True)
class DataFile:
    """One raw file that the training data was read from.

    Attributes:
        name: As `model/sources.py` names it.
        sha256: Of its bytes, hexadecimal.
        size: Its bytes.
        origin: The package that brought it (`pkg:pypi/NAME@VERSION`), or its path in the checkout; None if unknown.
    """

    name: str
    sha256: str
    size: int
    origin: str | None = None


@dataclass(frozen=True)
class Dependency:
    """One locked library.

    Attributes:
        name: As the registry of packages has it.
        version: The version that is locked.
        role: `serves` if the container that serves holds it, `trains` if only the model's making needs it.
        sha256: Of each of its files that the lock allows, hexadecimal; one of these was installed.
    """

    name: str
    version: str
    role: Literal["serves", "trains"]
    sha256: tuple[str, ...] = ()


@dataclass(frozen=True)
class Interval:
    """Where a value lies.

    Attributes:
        low: The lower end.
        high: The upper end.
        level: Its coverage, 0 to 1.
    """

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Metric:
    """One number of the evaluation.

    Attributes:
        name: As gates name it.
        value: As it was measured.
        interval: Where it lies for rows that do not depend on each other; None if the evaluation does not tell.
    """

    name: str
    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class Environment:
    """What the steps ran on.

    Attributes:
        python: Implementation and full version, such as `CPython 3.11.7`.
        system: Such as `Linux`.
        machine: Such as `x86_64`.
        libc: Such as `glibc 2.36`; None if unknown.
    """

    python: str
    system: str
    machine: str
    libc: str | None = None


@dataclass(frozen=True)
class Builder:
    """Who ran the steps.

    Attributes:
        id: A URI of the kind of builder.
        invocation: The one run: the URL of a CI run, the ARN of a training job, or that of the execution of a pipeline
            which released it; None on somebody's machine.
        finished: When the archive was sealed, UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        job: The ARN of the training job in which an execution, this one or an earlier one, built it; None without one.
    """

    id: str
    invocation: str | None
    finished: str
    job: str | None = None

    @property
    def training_job(self) -> str | None:
        """The ARN of the training job that ran the steps; None if none did."""
        return self.job or (self.invocation if ":training-job/" in (self.invocation or "") else None)


@dataclass(frozen=True)
class Facts:
    """All that is known of a package.

    Attributes:
        package: The archive.
        recipe: What determines its bytes.
        source: The checkout.
        data: Its raw data files; none where the model names none.
        data_version: What the model calls this version of its data; empty if it does not.
        dependencies: The locked libraries.
        trained_on: What the steps tell of the rows trained on: how many, from when to when.
        metrics: What was measured.
        environment: What it was built on.
        builder: Who built it.
        form: Of this JSON.
    """

    package: Package
    recipe: Recipe
    source: Source
    data: tuple[DataFile, ...]
    data_version: str
    dependencies: tuple[Dependency, ...]
    trained_on: Mapping[str, int | float | str]
    metrics: tuple[Metric, ...]
    environment: Environment
    builder: Builder
    form: int = FORM

    @property
    def id(self) -> str:
        """The first 12 digits of the recipe; what a person reads."""
        return self.recipe.digest[:12]

    def to_json(self) -> bytes:
        """Canonical JSON."""
        return canonical(self)

    @classmethod
    def from_json(cls, content: bytes) -> Facts:
        """Read `to_json`.

        Raises:
            FactsError: It is of another form.
        """
        try:
            facts = msgspec.json.decode(content, type=cls)
        except msgspec.MsgspecError as error:
            raise FactsError(f"these are no facts of a package: {error}") from None
        if facts.form != FORM:
            raise FactsError(f"form: got {facts.form}, expected {FORM}: another version of modelstack wrote it")
        return facts


def canonical(value: object) -> bytes:
    """JSON that is the same for equal values: sorted keys, no spaces."""
    return msgspec.json.encode(value, order="sorted")


def sha256_of(digest: str) -> str:
    """The hexadecimal part of `sha256:<hex>`."""
    return digest.removeprefix("sha256:")


def purl(dependency: Dependency) -> str:
    """The package URL of a library: its name in any registry of Python packages."""
    return f"pkg:pypi/{dependency.name}@{dependency.version}"
