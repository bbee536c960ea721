"""The section `modelstack:kubernetes`: the cluster of a stack."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import Field, field_validator

from modelstack.platforms.addresses import BUCKET, OBJECT, REPOSITORY, URL
from modelstack.program.config.problems import Allowed, NotAllowed
from modelstack.program.config.section import Image, Section

Name = Annotated[str, Allowed(OBJECT.words), Field(pattern=f"^({OBJECT.pattern})$")]
Url = Annotated[str, Allowed(URL.words), Field(pattern=f"^({URL.pattern})$")]
Repository = Annotated[str, Allowed(REPOSITORY.words), Field(pattern=f"^({REPOSITORY.pattern})$")]
_PLACES = "a list of namespaces and of ranges of addresses, such as [monitoring, 10.0.0.0/28]"
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


class GatewaySettings(Section):
    """Where requests come in."""

    class_name: Name | None = Field(
        default=None, alias="class", description="The GatewayClass of a Gateway that the stack makes."
    )
    name: Name | None = Field(
        default=None, description="A Gateway of the same namespace that is there already. Null: the stack makes one."
    )
    host: (
        Annotated[
            str,
            Allowed("a host name in lower case, such as models.example.org"),
            Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"),
        ]
        | None
    ) = Field(default=None, description="The host that the route answers for. Null: every host.")
    tls_secret: Name | None = Field(
        default=None,
        description="A Secret of the namespace with the certificate of the stack's own Gateway, which is for `host`. "
        "Null: plain HTTP.",
    )
    ca_config_map: Name | None = Field(
        default=None,
        description="A ConfigMap of the namespace whose key `ca.crt` holds the certificate of your own CA, where the "
        "Gateway's certificate is of one. Null: a CA that systems know.",
    )


class RulesSettings(Section):
    """How Prometheus gets its rules."""

    kind: Literal["prometheus_rule", "config_map"] = Field(
        default="prometheus_rule",
        description="prometheus_rule: an object of the Prometheus operator. config_map: a rule file in a ConfigMap, "
        "for a Prometheus that is given it.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict[str, str], description="Labels of that object, by which Prometheus selects its rules."
    )


BucketName = Annotated[str, Allowed(BUCKET.words), Field(pattern=f"^({BUCKET.pattern})$")]


class BucketSettings(Section):
    """A bucket of S3, or of what speaks like it, for sealed packages."""

    name: BucketName = Field(description="The bucket. It must exist.")
    endpoint: Url | None = Field(
        default=None, description="Where S3 answers, for pods and for `pulumi up` alike. Null: AWS."
    )
    region: Name = Field(default="us-east-1", description="The region of the bucket.")
    secret: Name | None = Field(
        default=None,
        description="A Secret of the namespace with which pods read the bucket. Its keys are AWS_ACCESS_KEY_ID, "
        "AWS_SECRET_ACCESS_KEY and, for keys that end, AWS_SESSION_TOKEN. Null: pods read without a key.",
    )


class ReceiverSettings(Section):
    """How somebody is told of alerts."""

    email: Annotated[list[str], Allowed("a list of addresses such as oncall@example.org")] = Field(
        default_factory=list[str],
        description="Addresses. Who sends to them, and over which server, is Alertmanager's to know.",
    )
    webhook_secret: Name | None = Field(
        default=None,
        description="A Secret of the namespace whose key `url` is where alerts are posted to. Only with the operator.",
    )

    @field_validator("email")
    @classmethod
    def _addresses(cls, addresses: list[str]) -> list[str]:
        if not all(map(_ADDRESS.fullmatch, addresses)):
            raise NotAllowed
        return addresses


class AlertsSettings(Section):
    """Whom Alertmanager tells. That it wakes the controller needs no field."""

    labels: dict[str, str] = Field(
        default_factory=dict[str, str],
        description="Labels of the AlertmanagerConfig, or of the ConfigMap where `rules.kind` is config_map.",
    )
    page: ReceiverSettings | None = Field(default=None, description="How somebody is woken. Null: no route pages.")
    ticket: ReceiverSettings | None = Field(default=None, description="How somebody is told by day. Null: nobody is.")


class KubernetesSettings(Section):
    """Which cluster a stack is in, and what it uses of it. Only with `platform: kubernetes`."""

    context: Annotated[str, Allowed("the name of a context of the kubeconfig")] | None = Field(
        default=None, min_length=1, description="The context of the kubeconfig. Null: the current one."
    )
    namespace: Name = Field(default="models", description="The namespace of all that the stack makes. It must exist.")
    registry: Repository | None = Field(
        default=None,
        description="Where sealed packages are pushed to, below this path, and images are looked for. Must be given.",
    )
    pull_secret: Name | None = Field(
        default=None, description="A Secret of the namespace (kubernetes.io/dockerconfigjson) to pull with."
    )
    bucket: BucketSettings | None = Field(
        default=None, description="A bucket that sealed packages go to instead of the registry. Null: the registry."
    )
    egress_ports: Annotated[list[int], Allowed("a list of ports from 1 to 65535, such as [5000, 9000]")] = Field(
        default_factory=list[int],
        description="Ports that model pods may reach, besides 443 and those of the URLs of registry and bucket. "
        "Behind a Service of the cluster, a NetworkPolicy means the port of the pod: name that.",
    )
    ingress_from: Annotated[list[str], Allowed(_PLACES)] | None = Field(
        default=None,
        description="Where Prometheus and Alertmanager run: namespaces of the cluster, and ranges of addresses. "
        "Besides the gateway, only these reach model pods, and only these and model pods reach the controller. "
        "Null: the namespace of the Service that `prometheus` names; if it names none, everybody.",
    )
    gateway: GatewaySettings = Field(default_factory=GatewaySettings, description="Where requests come in.")
    prometheus: Url | None = Field(
        default=None,
        description="The Prometheus that scrapes the gateway's proxies, as the cluster reaches it. Must be given.",
    )
    rules: RulesSettings = Field(default_factory=RulesSettings, description="How Prometheus gets its rules.")
    alerts: AlertsSettings = Field(default_factory=AlertsSettings, description="Whom Alertmanager tells.")
    database_secret: Name | None = Field(
        default=None,
        description="A Secret of the namespace whose key `url` is the URL of a PostgreSQL database, for captured "
        "requests, labels and the audit record. Null: nothing is captured.",
    )
    webhook_secret: Name | None = Field(
        default=None, description="A Secret whose key `url` is where events are posted to as JSON. Null: nowhere."
    )
    controller: bool = Field(
        default=True,
        description="Whether the stack declares the rollout controller of its namespace. One stack of a namespace "
        "does; the others set false.",
    )
    controller_image: Image | None = Field(
        default=None, description="The image of the controller. Null: `controller` of the registry."
    )
    definitions: bool = Field(
        default=True,
        description="Whether the stack declares the custom resource definitions, which are one set for the cluster.",
    )

    @field_validator("ingress_from")
    @classmethod
    def _are_places(cls, places: list[str] | None) -> list[str] | None:
        for place in places or ():
            if "/" not in place and not re.fullmatch(OBJECT.pattern, place):
                raise NotAllowed
            if "/" in place:
                try:
                    ip_network(place)
                except ValueError:
                    raise NotAllowed from None
        return places

    @field_validator("egress_ports")
    @classmethod
    def _are_ports(cls, ports: list[int]) -> list[int]:
        if not all(1 <= port <= 65535 for port in ports):
            raise NotAllowed
        return ports
