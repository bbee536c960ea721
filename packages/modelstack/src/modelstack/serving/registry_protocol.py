"""Names, logins, challenges and error messages of OCI registries, for any HTTP client.

Standard library only. Sources: OCI distribution specification v1.1; token authentication of CNCF Distribution.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

SCHEME = "oci://"
DIGEST = re.compile("sha256:[0-9a-f]{64}")
_HOST = r"(?P<registry>[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9a-f:]+\](:\d{1,5})?)"
_REPOSITORY = r"(?P<repository>[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*)"
_PLACE = re.compile(f"{_HOST}/{_REPOSITORY}")
_BLOB = re.compile(f"{SCHEME}{_HOST}/{_REPOSITORY}@(?P<digest>sha256:[0-9a-f]{{64}})")
INSECURE = "MODELSTACK_INSECURE_REGISTRY"
LOCAL_CLUSTER = "10.99.0.1"
"""The address of the local cluster on a developer's machine, from the machine and from pods."""
_LONGEST_WORDS = 300


class ProtocolError(ValueError):
    """A name, a login or a challenge cannot be understood; the message says what is expected."""


@dataclass(frozen=True)
class Blob:
    """A blob of a registry (`HOST` or `HOST:PORT`), by its digest, `sha256:<hex>`."""

    registry: str
    repository: str
    digest: str

    @classmethod
    def parse(cls, uri: str) -> Blob:
        """Read `oci://HOST[:PORT]/REPOSITORY@sha256:<hex>`, or raise ProtocolError."""
        found = _BLOB.fullmatch(uri)
        if found is None:
            raise ProtocolError(f"{uri!r} is not allowed: expected oci://HOST[:PORT]/REPOSITORY@sha256:<64 digits>")
        return cls(found["registry"], found["repository"], found["digest"])

    def __str__(self) -> str:
        return f"{SCHEME}{self.registry}/{self.repository}@{self.digest}"


@dataclass(frozen=True)
class Login:
    """A user and a password of a registry."""

    user: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of the header `Authorization`."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def place_of(text: str) -> tuple[str, str]:
    """Read `HOST[:PORT]/REPOSITORY`, as in a stack's config, or raise ProtocolError."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ProtocolError(f"{text!r} is not allowed: expected HOST[:PORT]/REPOSITORY in lower case, without a tag")
    return found["registry"], found["repository"]


def is_insecure(registry: str, environment: Mapping[str, str]) -> bool:
    """Whether to use a registry without TLS: local ones, and the one that MODELSTACK_INSECURE_REGISTRY names.

    ProtocolError means that the variable names a host outside private networks.
    """
    host = urlsplit(f"//{registry}").hostname or ""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is not None and (address.is_loopback or host == LOCAL_CLUSTER):
        return True
    if environment.get(INSECURE, "") != registry:
        return False
    if address is None or not address.is_private:
        raise ProtocolError(
            f"{INSECURE} is {registry!r}: only an address of a private network may be asked without TLS. "
            "Give the registry a certificate, and name its CA in SSL_CERT_FILE"
        )
    return True


def docker_config(environment: Mapping[str, str]) -> dict[str, Any]:
    """`config.json` in the folder DOCKER_CONFIG, else in `~/.docker`; empty without one. ProtocolError if invalid."""
    folder = environment.get("DOCKER_CONFIG") or str(Path(environment.get("HOME") or "/") / ".docker")
    path = Path(folder) / "config.json"
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise ProtocolError(f"cannot read {path}: {error}") from None
    if not isinstance(found, dict):
        raise ProtocolError(f"{path} is no docker config: expected a JSON object")
    return found


def login_of(config: Mapping[str, Any], registry: str) -> Login | None:
    """The login of a registry in a docker config; None without one. Raises ProtocolError if it is unreadable."""
    logins: Mapping[str, Any] = config.get("auths") or {}
    for name, login in logins.items():
        if name != registry and urlsplit(name).netloc != registry:
            continue
        try:
            if login.get("auth"):
                user, colon, password = base64.b64decode(login["auth"], validate=True).decode().partition(":")
            else:
                user, colon, password = login.get("username") or "", ":", login.get("password") or ""
        except (AttributeError, TypeError, ValueError):
            raise ProtocolError(
                f"the docker config has a login for {name} that is no base64 of user:password"
            ) from None
        if user and colon:
            return Login(user, password)
    return None


def token_url_of(header: str, repository: str, *, insecure: bool) -> str:
    """The URL of the bearer token that `WWW-Authenticate` of a 401 asks for; empty for basic authorization.

    `repository` is for the scope where the header has none. Without `insecure` the token's URL needs TLS too.

    Raises:
        ProtocolError: It is of an unknown kind, or would send a login over plain HTTP.
    """
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() == "basic":
        return ""
    fields = {name.lower(): value for name, value in re.findall(r'(\w+)="([^"]*)"', rest)}
    realm = urlsplit(fields.get("realm", ""))
    if scheme.lower() != "bearer" or realm.scheme not in ("http", "https") or not realm.netloc:
        raise ProtocolError(f"WWW-Authenticate is {header!r}: expected Basic, or Bearer with a realm")
    if realm.scheme == "http" and not insecure:
        raise ProtocolError(f"the registry wants its login sent to {fields['realm']}, which is not encrypted")
    asked = {"scope": fields.get("scope") or f"repository:{repository}:pull"}
    if "service" in fields:
        asked["service"] = fields["service"]
    separator = "&" if realm.query else "?"
    return f"{fields['realm']}{separator}{urlencode(asked)}"


def token_in(body: bytes) -> str:
    """The token in the answer of a token server, or raise ProtocolError."""
    try:
        found: dict[str, Any] = json.loads(body)
        token = found.get("token") or found["access_token"]
        if isinstance(token, str):
            return token
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise ProtocolError(f"the token server gave no token but {words_in(body)}")


def words_in(body: bytes) -> str:
    """The error message of a registry or a bucket, as one short line."""
    try:
        errors = json.loads(body)["errors"]
        text = "; ".join(f"{one.get('code', '')}: {one.get('message', '')}" for one in errors)
    except (ValueError, TypeError, KeyError, AttributeError):
        found = body.decode(errors="replace")
        told = [re.search(f"<{tag}>([^<]*)</{tag}>", found) for tag in ("Code", "Message")]
        text = ": ".join(one[1] for one in told if one) or re.sub("<[^>]*>", " ", found)
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line[:_LONGEST_WORDS] or "nothing"
