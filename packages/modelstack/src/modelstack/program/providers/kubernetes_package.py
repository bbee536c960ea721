"""The provider of `modelstack.program.package` on Kubernetes."""

from __future__ import annotations

from typing import Any, ClassVar

from modelstack.program.providers.packaging import AUDIT_KEY, SIGNED_BY, PackagingProvider, Values


class KubernetesPackageProvider(PackagingProvider):
    """Packages in an image registry or a bucket, registered as ModelPackages of a namespace."""

    # Without registry and context (a name in a kubeconfig): replacing deletes keys, token and every ModelPackage
    # of the namespace, also those in use.
    PLACE: ClassVar[tuple[str, ...]] = ("namespace", "prefix")
    ASKED: ClassVar[tuple[str, ...]] = (*PackagingProvider.ASKED, "context", "registry", "bucket", "audit_secret")
    VERSION: ClassVar[str] = "model_package"
    KEYS: ClassVar[tuple[str, ...]] = (SIGNED_BY, AUDIT_KEY)

    def id_of(self, props: Values) -> str:
        """NAMESPACE/PREFIX of the stack."""
        return f"{props['namespace']}/{props['prefix']}"

    def registry(self, props: Values) -> Any:
        """The registry or bucket with its ModelPackages; the stack's key and token are created at first use."""
        from modelstack.platforms.kubernetes.package_store import registry_of  # noqa: PLC0415  slow to load, and diff needs none

        return registry_of(props)

    def keys(self, props: Values, registry: Any) -> dict[str, str]:
        """The key for packages, and the one for audit records, which is created at first use."""
        from modelstack.platforms.kubernetes.names import labels_of  # noqa: PLC0415  see registry
        from modelstack.platforms.kubernetes.signing import key_pair  # noqa: PLC0415

        audit = key_pair(api_of(props), props["audit_secret"], labels_of(props["prefix"]))
        return {**super().keys(props, registry), AUDIT_KEY: audit.public_key.decode()}

    def versions(self, props: Values) -> Any:
        """The ModelPackages of the namespace."""
        from modelstack.platforms.kubernetes.versions import ModelPackages  # noqa: PLC0415  see registry

        return ModelPackages(api_of(props), props["prefix"])

    def delete_all(self, props: Values) -> None:
        """Delete the stack's ModelPackages, its keys and its token."""
        from modelstack.platforms.kubernetes import access_token  # noqa: PLC0415  see registry
        from modelstack.platforms.kubernetes.kinds import PACKAGE, SECRET  # noqa: PLC0415
        from modelstack.platforms.kubernetes.names import ENDPOINT  # noqa: PLC0415
        from modelstack.platforms.kubernetes.signing import audit_secret_name, secret_name  # noqa: PLC0415

        api = api_of(props)
        for found in api.list(PACKAGE, {ENDPOINT: props["prefix"]}):
            api.delete(PACKAGE, found["metadata"]["name"])
        for named in (secret_name, audit_secret_name, access_token.secret_name):
            api.delete(SECRET, named(props["prefix"]))


def api_of(props: Values) -> Any:
    """The API server of a resource's `context` and `namespace`."""
    from modelstack.platforms.kubernetes.api import Api  # noqa: PLC0415  see registry

    return Api.of(props.get("context") or None, props["namespace"])
