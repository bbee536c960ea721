"""The resources of a stack on a cluster, from the package to the rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.program.config.settings import Settings
from modelstack.program.kubernetes import kept_bucket
from modelstack.program.kubernetes.cluster_now import ClusterNow, read_cluster
from modelstack.program.kubernetes.controller import Controller
from modelstack.program.kubernetes.dashboard import Dashboard
from modelstack.program.kubernetes.definitions import Definitions
from modelstack.program.kubernetes.endpoint import Endpoint
from modelstack.program.kubernetes.promotion import Promotion
from modelstack.program.kubernetes.rules import Rules
from modelstack.program.kubernetes.site import Site
from modelstack.program.kubernetes.workloads import Serving
from modelstack.program.mlflow import Mlflow
from modelstack.program.options import Opts, once
from modelstack.program.package import Package
from modelstack.program.providers.kubernetes_package import KubernetesPackageProvider
from modelstack.program.providers.kubernetes_trial import KubernetesRolloutProvider
from modelstack.program.release_request import ReleaseRequest, asked
from modelstack.program.stack import Model, Stack


class KubernetesStack(Stack["KubernetesModel"]):
    """A stack in a namespace of a cluster.

    Attributes:
        site: The namespace; its `declare` adds an object of the program's own with the stack's labels.
    """

    OUTPUTS = (
        *("platform", "endpoint_name", "context", "namespace", "gateway", "host", "ca_config_map"),
        *("prometheus_url", "registry", "bucket"),
        *("package_digest", "champion", "challenger", "release", "metrics", "signing_key", "audit_key"),
        *("slo", "panels"),
        "awaits",
    )

    def __init__(self, settings: Settings, now: ClusterNow, update: ReleaseRequest) -> None:
        super().__init__(now.names.stack, settings)
        self.kubernetes, self._now = self, now
        self.site = Site(now.names, settings.kubernetes, now.cluster, now.there.bucket)
        self._models = (KubernetesModel(self, now, update),)

    @once
    def registry(self, *, opts: Opts = None) -> Definitions | None:
        """The custom resources Rollout and ModelPackage; None if `modelstack:kubernetes.definitions` is false."""
        return Definitions("definitions", self.site, opts) if self.settings.kubernetes.definitions else None

    @once
    def controller(self, *, opts: Opts = None) -> Controller | None:
        """The rollout controller; None if `modelstack:kubernetes.controller` is false."""
        if not self._now.controller_image:
            return None
        # The other stacks' Rollouts need the controller, also for rollbacks.
        kept = pulumi.ResourceOptions(retain_on_delete=True) if self._now.there.beside else None
        own = pulumi.ResourceOptions.merge(self.after_registry, pulumi.ResourceOptions.merge(kept, opts))
        return Controller("controller", self.site, self._now.controller_image, self.settings.mlflow, own)

    @property
    def after_registry(self) -> pulumi.ResourceOptions:
        """The option to be declared after the registry."""
        registry = self.registry()
        return pulumi.ResourceOptions(depends_on=[registry] if registry else [])

    def outputs(self) -> Mapping[str, Any]:
        settings, names = self.site.settings, self.site.names
        return {
            "platform": "kubernetes",
            "endpoint_name": names.prefix,
            "context": settings.context,
            "namespace": names.namespace,
            "gateway": settings.gateway.name or names.prefix,
            "host": settings.gateway.host,
            "ca_config_map": settings.gateway.ca_config_map,
            "prometheus_url": settings.prometheus,
            "registry": settings.registry,
            "bucket": settings.bucket.model_dump(exclude={"secret"}) if settings.bucket else None,
        }


class KubernetesModel(Model):
    """A model on a cluster: a route of a gateway, Deployments, and rules of Prometheus."""

    def __init__(self, stack: KubernetesStack, now: ClusterNow, update: ReleaseRequest) -> None:
        super().__init__(stack, now, update)
        self.kubernetes, self._shared, self._now, self._site = self, stack, now, stack.site

    @property
    def stack(self) -> KubernetesStack:
        return self._shared

    @once
    def package(self, *, opts: Opts = None) -> Package:
        place, settings = self._site.place(self.update.wanted.model_name), self.settings.mlflow
        own = pulumi.ResourceOptions.merge(self.stack.after_registry, opts)
        provider = KubernetesPackageProvider()
        package = Package("package", provider, self.now, self.settings, self.update.wanted, place=place, opts=own)
        if settings.server:
            experiment = settings.experiment_of(self.now.names.prefix)
            where = {"platform": "kubernetes"} | {name: place[name] for name in ("context", "bucket")}
            Mlflow("mlflow", settings.server, experiment, self.now, package, place=where, opts=opts)
        return package

    @once
    def endpoint(self, *, opts: Opts = None) -> Endpoint:
        """The route, its gateway, and the Rollout, whose status is the journal."""
        own, listeners = pulumi.ResourceOptions.merge(self.stack.after_registry, opts), self._now.there.listeners
        return Endpoint("endpoint", self._site, self._spec(), listeners=listeners, opts=own)

    @once
    def serving(self, *, opts: Opts = None) -> Serving:
        self.endpoint()
        if groups := self.settings.promotion.to:
            Promotion("promotion", self._site, groups, opts)
        settings = self.settings.serving
        return Serving("serving", self._site, plan=self.plan, package=self.package(), settings=settings, opts=opts)

    @once
    def monitoring(self, *, dashboard: bool = True, opts: Opts = None) -> Rules:
        settings, objective = self.settings, self.objective
        if dashboard:
            Dashboard("dashboard", self._site, settings, objective, opts)
        return Rules("rules", self._site, plan=self.plan, settings=settings, objective=objective, opts=opts)

    @property
    def driver(self) -> KubernetesRolloutProvider:
        return KubernetesRolloutProvider()

    @property
    def place(self) -> Mapping[str, str]:
        return {"context": self.settings.kubernetes.context or "", "namespace": self._site.names.namespace}

    def needs(self) -> list[pulumi.Resource]:
        return [self.endpoint(), *super().needs()]

    def outputs(self, package: Package) -> Mapping[str, Any]:
        return {"audit_key": package.audit_key}

    def _spec(self) -> RolloutSpec:
        settings, names, gateway = self.settings, self._site.names, self.settings.kubernetes.gateway
        return RolloutSpec(
            stack=names.stack,
            model=names.model,
            gateway=gateway.name or names.prefix,
            host=gateway.host or "",
            ca_config_map=gateway.ca_config_map or "",
            prometheus=settings.kubernetes.prometheus or "",
            period_seconds=settings.monitoring.period_seconds,
            capture_percent=settings.serving.capture_percent,
            sticky_header=self._now.sticky(self.update.wanted, settings.trial.sticky_header),
            measuring=settings.measuring(),
        )


async def read(settings: Settings, stack: str) -> KubernetesStack:
    """Read what is live, and plan; see `Stack.read`."""
    now = await read_cluster(settings, stack)
    update = await asked(now, settings)
    update.tell(now, settings)
    kept_bucket.tell(settings.kubernetes, now.there.bucket)
    return KubernetesStack(settings, now, update)
