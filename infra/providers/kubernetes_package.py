"""The provider of `infra.package` on Kubernetes."""

from __future__ import annotations

from typing import Any, ClassVar

from infra.providers.packaging import PackagingProvider, Values


class KubernetesPackageProvider(PackagingProvider):
    """Packages in an image registry or a bucket, registered as ModelPackages of a namespace."""

    # Without registry and context (a name in a kubeconfig): replacing deletes the key, the token and every ModelPackage
    # of the namespace, also those in use.
    PLACE: ClassVar[tuple[str, ...]] = ("namespace", "prefix")
    ASKED: ClassVar[tuple[str, ...]] = (*PackagingProvider.ASKED, "context", "registry", "bucket")
    VERSION: ClassVar[str] = "model_package"

    def id_of(self, props: Values) -> str:
        """NAMESPACE/PREFIX of the stack."""
        return f"{props['namespace']}/{props['prefix']}"

    def registry(self, props: Values) -> Any:
        """The registry or bucket with its ModelPackages; the stack's key and token are created at first use."""
        from platforms.kubernetes.package_store import registry_of  # noqa: PLC0415  slow to load, and diff needs none

        return registry_of(props)

    def versions(self, props: Values) -> Any:
        """The ModelPackages of the namespace."""
        from platforms.kubernetes.versions import ModelPackages  # noqa: PLC0415  see registry

        return ModelPackages(_api(props), props["prefix"])

    def delete_all(self, props: Values) -> None:
        """Delete the stack's ModelPackages, its key and its token."""
        from platforms.kubernetes import access_token  # noqa: PLC0415  see registry
        from platforms.kubernetes.kinds import PACKAGE, SECRET  # noqa: PLC0415
        from platforms.kubernetes.names import ENDPOINT  # noqa: PLC0415
        from platforms.kubernetes.signing import secret_name  # noqa: PLC0415

        api = _api(props)
        for found in api.list(PACKAGE, {ENDPOINT: props["prefix"]}):
            api.delete(PACKAGE, found["metadata"]["name"])
        for name in (secret_name(props["prefix"]), access_token.secret_name(props["prefix"])):
            api.delete(SECRET, name)


def _api(props: Values) -> Any:
    from platforms.kubernetes.api import Api  # noqa: PLC0415  see registry

    return Api.of(props.get("context") or None, props["namespace"])
