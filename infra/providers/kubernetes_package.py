"""The provider behind `infra.package` on Kubernetes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar

from pulumi.dynamic import ReadResult

from infra.providers.packaging import PackagingProvider, Values


class KubernetesPackageProvider(PackagingProvider):
    """Packages in a registry of images or a bucket, registered as ModelPackages of a namespace."""

    # Not the registry, and not the context, which is a name in somebody's kubeconfig: what is replaced is deleted, and
    # with it go the key, the token and every ModelPackage of the namespace, those of what serves too.
    PLACE: ClassVar[tuple[str, ...]] = ("namespace", "prefix")
    ASKED: ClassVar[tuple[str, ...]] = (*PackagingProvider.ASKED, "context", "registry", "bucket")
    VERSION: ClassVar[str] = "model_package"

    def id_of(self, props: Values) -> str:
        """NAMESPACE/PREFIX of the stack."""
        return f"{props['namespace']}/{props['prefix']}"

    def place(self, props: Values) -> Any:
        """The registry or the bucket, and a ModelPackage; key and token of the stack are made at their first use."""
        from platforms.places import on_kubernetes  # noqa: PLC0415  slow to load, and diff needs none

        return on_kubernetes(props)

    def refusals(self) -> tuple[type[Exception], ...]:
        """What AWS's client raises, where the source is on AWS; all that Kubernetes says is a `RolloutError`."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  see place

        return BotoCoreError, ClientError

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look whether the ModelPackage is still there.

        Raises:
            RuntimeError: The API server does not answer; the message is one line.
        """
        from platforms.kubernetes.kinds import PACKAGE  # noqa: PLC0415  see place

        version = props.get(self.VERSION)
        with _in_one_line():
            if version and _api(props).find(PACKAGE, version.rpartition("/")[2]) is None:
                return ReadResult(None, {})
        return ReadResult(id_, props)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """When the stack goes: delete its ModelPackages and its key, unless packages are retained; no archive is."""
        if props.get("retain"):
            return
        from platforms.kubernetes import access_token  # noqa: PLC0415  see place
        from platforms.kubernetes.kinds import PACKAGE, SECRET  # noqa: PLC0415
        from platforms.kubernetes.names import ENDPOINT  # noqa: PLC0415
        from platforms.kubernetes.signing import secret_name  # noqa: PLC0415

        api = _api(props)
        with _in_one_line():
            for found in api.list(PACKAGE, {ENDPOINT: props["prefix"]}):
                api.delete(PACKAGE, found["metadata"]["name"])
            for name in (secret_name(props["prefix"]), access_token.secret_name(props["prefix"])):
                api.delete(SECRET, name)


def _api(props: Values) -> Any:
    from platforms.kubernetes.api import Api  # noqa: PLC0415  see place

    return Api.of(props.get("context") or None, props["namespace"])


@contextmanager
def _in_one_line() -> Generator[None]:
    """Leave out what the client went through before it failed: Pulumi prints an exception with all its causes."""
    from rollout.core.errors import RolloutError  # noqa: PLC0415  see place

    try:
        yield
    except RolloutError as error:
        raise RuntimeError(str(error)) from None
