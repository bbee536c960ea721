"""The connection to the local cloud: provider configuration, AWS clients on loopback, and waiting."""

from __future__ import annotations

import ipaddress
import json
import os
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from localcloud.awsplugin.failures import Failure, InvalidError
from localcloud.awsplugin.identity import Keys, caller_identity
from localcloud.awsplugin.wire import Props

if TYPE_CHECKING:
    import botocore.session

_ACCEPTED = {
    "region",
    "accessKey",
    "secretKey",
    "token",
    "endpoints",
    "defaultTags",
    "maxRetries",
    "allowedAccountIds",
    "forbiddenAccountIds",
    "s3UsePathStyle",
    "skipCredentialsValidation",
    "skipMetadataApiCheck",
    "skipRegionValidation",
    "skipRequestingAccountId",
    "version",
    "pluginDownloadURL",
}
_NESTED = {"endpoints", "defaultTags", "allowedAccountIds", "forbiddenAccountIds"}
# The provider's name of a service, where it is not botocore's.
_ENDPOINT_NAMES = {"events": "eventbridge", "logs": "cloudwatchlogs"}
LOOPBACK_ONLY = (
    "the local AWS plugin serves loopback endpoints only; use the genuine plugin "
    "(`pulumi plugin install resource aws`) for anything else"
)


def require_loopback(url: str, source: str) -> str:
    """Return `url` when its host is this machine's loopback.

    Raises:
        InvalidError: The host is another one, or the text is no http address.
    """
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidError(f"{source} is {url!r}, which is no http address; {LOOPBACK_ONLY}")
    if host == "localhost" or host.endswith(".localhost"):
        return url
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InvalidError(f"{source} is {url!r}; {LOOPBACK_ONLY}")
    return url


@dataclass(frozen=True)
class Settings:
    """The provider's configuration."""

    region: str
    endpoint: str
    endpoints: Mapping[str, str] = field(default_factory=dict)
    access_key: str | None = None
    secret_key: str | None = None
    token: str | None = None
    default_tags: Mapping[str, str] = field(default_factory=dict)
    max_retries: int = 2
    allowed_accounts: tuple[str, ...] = ()
    forbidden_accounts: tuple[str, ...] = ()

    @classmethod
    def read(cls, args: Props, environ: Mapping[str, str] = os.environ) -> Settings:
        """Settings from the provider's inputs and the environment.

        Raises:
            InvalidError: An input is not supported, no region or no endpoint is known, or an endpoint is not loopback.
        """
        unknown = sorted(k for k in args if k not in _ACCEPTED and not k.startswith("__"))
        if unknown:
            supported = ", ".join(sorted(_ACCEPTED - {"version", "pluginDownloadURL"}))
            raise InvalidError(
                f"the local AWS plugin does not support provider input {unknown[0]!r}; it supports {supported}"
            )
        args = {k: _parsed(k, v) for k, v in args.items()}
        region = args.get("region") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        if not region:
            raise InvalidError("no AWS region: run `pulumi config set aws:region us-east-1`, or set AWS_REGION")
        endpoints = {k: url for group in _listed(args.get("endpoints")) for k, url in group.items() if url}
        for name, url in endpoints.items():
            require_loopback(url, f"the endpoint of {name}")
        endpoint = environ.get("AWS_ENDPOINT_URL") or (
            next(iter(endpoints.values())) if len(set(endpoints.values())) == 1 else ""
        )
        if not endpoint:
            raise InvalidError(f"AWS_ENDPOINT_URL is not set; {LOOPBACK_ONLY}")
        return cls(
            region=region,
            endpoint=require_loopback(endpoint, "AWS_ENDPOINT_URL"),
            endpoints=endpoints,
            access_key=args.get("accessKey") or environ.get("AWS_ACCESS_KEY_ID"),
            secret_key=args.get("secretKey") or environ.get("AWS_SECRET_ACCESS_KEY"),
            token=args.get("token") or environ.get("AWS_SESSION_TOKEN"),
            default_tags=(args.get("defaultTags") or {}).get("tags") or {},
            max_retries=int(args.get("maxRetries") or 2),
            allowed_accounts=tuple(_listed(args.get("allowedAccountIds"))),
            forbidden_accounts=tuple(_listed(args.get("forbiddenAccountIds"))),
        )


def _parsed(name: str, value: Any) -> Any:
    """A provider input; the engine sends those that are not text as JSON."""
    if name in _NESTED and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError as error:
            raise InvalidError(f"provider input {name!r} is no JSON: {error}") from error
    return value


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


class Cloud:
    """Clients of one local cloud, made when first used and shared by all threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cancelled = threading.Event()
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    @cached_property
    def _session(self) -> botocore.session.Session:
        import botocore.session  # noqa: PLC0415  (0.2 s that a diff does not need)

        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        session = botocore.session.Session()
        if self.settings.access_key and self.settings.secret_key:
            session.set_credentials(self.settings.access_key, self.settings.secret_key, self.settings.token)
        return session

    def client(self, service: str, region: str) -> Any:
        """The botocore client of a service in a region."""
        with self._lock:
            key = (service, region)
            if key not in self._clients:
                self._clients[key] = self._connect(service, region)
            return self._clients[key]

    def _connect(self, service: str, region: str) -> Any:
        import botocore.config  # noqa: PLC0415  (as above)

        name = _ENDPOINT_NAMES.get(service, service)
        return self._session.create_client(
            service,
            region_name=region,
            endpoint_url=self.settings.endpoints.get(name) or self.settings.endpoint,
            config=botocore.config.Config(
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "total_max_attempts": self.settings.max_retries + 1},
                connect_timeout=5,
                read_timeout=300,
                max_pool_connections=32,
            ),
        )

    @cached_property
    def identity(self) -> dict[str, str]:
        """`Account`, `Arn` and `UserId` of the caller.

        Raises:
            InvalidError: The account is not one that the provider's configuration allows.
        """
        settings = self.settings
        if settings.access_key and settings.secret_key:
            keys = Keys(settings.access_key, settings.secret_key, settings.token)
            endpoint = settings.endpoints.get("sts") or settings.endpoint
            found = caller_identity(endpoint, settings.region, keys)
        else:  # from a profile, which botocore knows how to read
            found = self.client("sts", settings.region).get_caller_identity()
        account = found["Account"]
        allowed, forbidden = self.settings.allowed_accounts, self.settings.forbidden_accounts
        if account in forbidden or (allowed and account not in allowed):
            raise InvalidError(f"AWS account {account} is not allowed by the provider's allowedAccountIds")
        return {k: found[k] for k in ("Account", "Arn", "UserId")}


class Scope:
    """What a resource's functions work with: clients of its region, and waiting.

    Args:
        cloud: The connection.
        region: The resource's region.
        timeout: Seconds that waiting may take; 0 means the default of each wait.
    """

    def __init__(self, cloud: Cloud, region: str, timeout: float = 0) -> None:
        self.cloud = cloud
        self.region = region
        self.timeout = timeout

    def __call__(self, service: str) -> Any:
        """The botocore client of a service in this region."""
        return self.cloud.client(service, self.region)

    @property
    def account(self) -> str:
        """The account's 12 digits."""
        return self.cloud.identity["Account"]

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn` or `aws-us-gov`, by the region."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"

    def arn(self, service: str, resource: str) -> str:
        """An ARN in this scope's region and account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def wait(self, done: Callable[[], bool], what: str, *, timeout: float = 600, every: float = 0.5) -> None:
        """Poll `done` until it is true, at first quickly.

        Raises:
            Failure: The time ran out, or the user cancelled.
        """
        limit = self.timeout or timeout
        start = time.monotonic()
        pause = min(0.05, every)
        while not done():
            if time.monotonic() - start > limit:
                raise Failure(f"gave up waiting for {what} after {limit:.0f} s")
            if self.cloud.cancelled.wait(pause):
                raise Failure(f"cancelled while waiting for {what}")
            pause = min(every, pause * 1.5)
