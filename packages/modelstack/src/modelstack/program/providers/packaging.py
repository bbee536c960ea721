"""The platform-independent part of the package providers: build and register, copy, or take a registered package."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult
from pulumi.runtime import rpc

from modelstack.pipeline.project import project_root
from modelstack.program.config.whole_numbers import whole
from modelstack.program.providers.progress import Progress
from modelstack.services.platform_registry import platform

if TYPE_CHECKING:  # slow to load, and diff needs none
    from modelstack.services.package_registry import Origin, PackageRegistry, ReleaseRecord

SIGNED_BY, AUDIT_KEY = "signed_by", "audit_key"
NO_PACKAGE = "no package was made; the reason is told below"
"""Shown next to the resource, which the engine reports as created or updated even if its package was refused."""
Values = Mapping[str, Any]


class PackagingProvider(ResourceProvider, ABC):
    """Builds the package of a recipe if there is none, and deletes none while the stack exists.

    A changed `PLACE` input replaces the resource; a changed `ASKED` input requests another package. `VERSION` is the
    output that names the registered version, `KEYS` are the outputs with public keys.
    """

    serialize_as_secret_always = False
    PLACE: ClassVar[tuple[str, ...]]
    ASKED: ClassVar[tuple[str, ...]] = ("recipe", "image_uri", "gates", "source")
    VERSION: ClassVar[str]
    KEYS: ClassVar[tuple[str, ...]] = (SIGNED_BY,)

    @abstractmethod
    def id_of(self, props: Values) -> str:
        """The id of the resource."""

    @abstractmethod
    def registry(self, props: Values) -> Any:
        """The package registry, with the serving image and the signer; see `modelstack.services.package_registry`."""

    def keys(self, props: Values, registry: PackageRegistry) -> dict[str, str]:
        """The public keys, PEM, by output."""
        return {SIGNED_BY: registry.signer.public_key.decode()}

    @abstractmethod
    def versions(self, props: Values) -> Any:
        """The registered versions; see `modelstack.services.versions`."""

    @abstractmethod
    def delete_all(self, props: Values) -> None:
        """Delete everything that registering packages made, except archives."""

    def said(self, error: Exception) -> str:
        """An error's text for a person."""
        return str(error)

    def registered(self, props: Values, registry: PackageRegistry, facts: Values) -> None:
        """Hook after a package is registered; it must not fail."""

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Changed are recipe, image, gates, source or signing key; a refusal is always tried again.

        A candidate only says where the recipe's package is stored, so it is no change.
        """
        elsewhere = [name for name in self.PLACE if known(news.get(name)) and olds.get(name) != news.get(name)]
        wanted = [name for name in self.ASKED if olds.get(name) != news.get(name)]
        return DiffResult(changes=bool(elsewhere or wanted or olds.get("refused")), replaces=elsewhere)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make and register the package."""
        return CreateResult(self.id_of(props), {**props, **self.outcome(props)})

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Make and register the package of another recipe; earlier versions stay."""
        return UpdateResult({**news, **self.outcome(news)})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Check whether the registered package still exists; a failure is one line, since Pulumi prints it."""
        version = props.get(self.VERSION)
        with self._in_one_line():
            if version and self.versions(props).get(version) is None:
                return ReadResult(None, {})
        return ReadResult(id_, props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete the stack's versions when it is destroyed, unless packages are retained."""
        if not props.get("retain"):
            with self._in_one_line():
                self.delete_all(props)

    @contextmanager
    def _in_one_line(self) -> Generator[None]:
        """Pulumi prints an exception with all its causes, so these are dropped."""
        from modelstack.rollout.core.errors import RolloutError  # noqa: PLC0415  see outcome

        try:
            yield
        except (RolloutError, *sdk_errors()) as error:
            raise RuntimeError(self.said(error)) from None

    def outcome(self, props: Values) -> dict[str, Any]:
        """Make and register a package, or say why not.

        A refusal is an outcome and no exception: Pulumi then shows its reason without a traceback, and keeps the state.
        The program stops at it before it declares anything else.
        """
        from modelstack.pipeline.archive import ArchiveError  # noqa: PLC0415  slow to load, and diff needs none
        from modelstack.pipeline.build import GateRefused, StepFailed  # noqa: PLC0415
        from modelstack.pipeline.contract import ContractBroken, RecipeError  # noqa: PLC0415
        from modelstack.pipeline.gate import GateError  # noqa: PLC0415
        from modelstack.pipeline.origin import OriginError  # noqa: PLC0415
        from modelstack.records.provenance.envelope import SignatureError  # noqa: PLC0415
        from modelstack.rollout.core.errors import RolloutError  # noqa: PLC0415
        from modelstack.services.sealed_packages import RegistryError  # noqa: PLC0415

        candidate = props.get("candidate") or {}
        taken = candidate.get("recipe") == props["recipe"]
        make = self._copied if props.get("source") else self._taken if taken else self._built
        keys: dict[str, Any] = dict.fromkeys(self.KEYS)
        try:
            registry = self.registry(props)
            keys = self.keys(props, registry)  # of a refused package too: what serves is signed with it
            facts = self._facts(make(props, registry))
        except (
            *(ArchiveError, ContractBroken, GateError, GateRefused, OriginError, RecipeError),
            *(RegistryError, RolloutError, SignatureError, StepFailed, OSError),
            *sdk_errors(),
        ) as error:
            names = ("package_digest", "archive_uri", "manifest_sha256", self.VERSION, "metrics")
            step = "".join(f"{note}: " for note in getattr(error, "__notes__", []))
            Progress(props["urn"])(NO_PACKAGE)
            return {**dict.fromkeys(names), **keys, "refused": step + self.said(error)}
        self.registered(props, registry, facts)
        return {**facts, **keys, "refused": ""}

    def _built(self, props: Values, registry: PackageRegistry) -> Any:
        from modelstack.pipeline.build import release  # noqa: PLC0415  see outcome
        from modelstack.services.publish_steps import at  # noqa: PLC0415

        progress = _by_step(Progress(props["urn"]))
        return release(project_root(), self.wanted(props), props["gates"], here=at(registry), progress=progress)

    def wanted(self, props: Values) -> Any:
        """The recipe of the checkout with the config's parameters; RecipeError if the checkout has changed."""
        from modelstack.pipeline.contract import RecipeError  # noqa: PLC0415  see outcome
        from modelstack.pipeline.recipe import recipe  # noqa: PLC0415

        root = project_root()
        wanted = recipe(root, whole(props["parameters"]))
        if wanted.digest != props["recipe"]:
            raise RecipeError(f"the checkout in {root} changed since this update began: run it again")
        return wanted

    def _copied(self, props: Values, registry: PackageRegistry) -> Any:
        from modelstack.services.package_registry import copy  # noqa: PLC0415  see outcome

        source = props["source"]
        Progress(props["urn"])(f"taking {source['package_digest']}")
        return copy(record(source, source[SIGNED_BY].encode()), origin_of(source), registry, props["gates"])

    def _taken(self, props: Values, registry: PackageRegistry) -> Any:
        """An unsigned candidate is rebuilt to the same bytes and signed; an unsigned restored one is refused."""
        from modelstack.services.package_registry import take  # noqa: PLC0415  see outcome
        from modelstack.services.sealed_packages import RegistryError, Unsigned  # noqa: PLC0415

        candidate, progress = props["candidate"], Progress(props["urn"])
        whose = "which served before" if candidate.get("restored") else "which a training job has registered"
        progress(f"taking {candidate['package_digest']}, {whose}")
        ours = record(candidate, registry.signer.public_key)
        try:
            return take(ours, props["recipe"], registry, props["gates"])
        except RegistryError as error:
            if candidate.get("restored"):  # the checkout has another recipe
                asked = f"`modelstack restore --at {candidate['package_digest']}` tells what became of it"
                raise RegistryError(f"{error}. {asked}, and `restore --clear` lets checkout and config count") from None
            if not isinstance(error, Unsigned):
                raise
            progress(f"building it again: {error}")
            return self._built(props, registry)

    def _facts(self, registered: Any) -> dict[str, Any]:
        same = {name: getattr(registered, name) for name in ("package_digest", "archive_uri", "manifest_sha256")}
        return {**same, self.VERSION: registered.model_package_arn, "metrics": dict(registered.metrics)}


def _by_step(progress: Progress) -> Callable[[str], None]:
    """The first line of each step is shown at once; further lines are rate-limited."""
    seen = ""

    def told(line: str) -> None:
        nonlocal seen
        before, seen = seen, line.partition(":")[0]
        progress(line, at_once=seen != before)

    return told


def origin_of(source: Values) -> Origin:
    """The location of another stack's champion; see `modelstack.services.package_registry.Origin`."""
    return platform(source["platform"]).use("origin")(source)


def sdk_errors() -> tuple[type[Exception], ...]:
    """The errors of AWS's client, also on Kubernetes, where a source or bucket may be on AWS."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  see outcome

    return BotoCoreError, ClientError


def known(value: Any) -> bool:
    """Whether an input's value is known; in a preview it may not be."""
    return value != rpc.UNKNOWN


def record(package: Values, signed_by: bytes) -> ReleaseRecord:
    """A package as `ReleaseRecord`."""
    from modelstack.services.package_registry import ReleaseRecord  # noqa: PLC0415  see outcome

    return ReleaseRecord(
        package["archive_uri"], package["package_digest"], package.get("model_package_arn", ""), signed_by
    )
