"""Who is calling, asked without botocore.

Most programs ask this in every preview, and it is often the only call of an update that changes nothing; importing
botocore for it would take 0.3 s of that.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import re
import urllib.parse
from dataclasses import dataclass

from localcloud.awsplugin.failures import Failure, UnavailableError

_BODY = "Action=GetCallerIdentity&Version=2011-06-15"
_FIELDS = ("Account", "Arn", "UserId")


@dataclass(frozen=True)
class Keys:
    """Credentials."""

    access: str
    secret: str
    token: str | None = None


def caller_identity(endpoint: str, region: str, keys: Keys) -> dict[str, str]:
    """`Account`, `Arn` and `UserId` from STS.

    Raises:
        UnavailableError: Nothing answers at `endpoint`.
        Failure: STS refused; the message has its code.
    """
    url = urllib.parse.urlsplit(endpoint)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=30)
    now = datetime.datetime.now(datetime.UTC)
    try:
        connection.request("POST", "/", _BODY, signed_headers(url.netloc, region, keys, now))
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"the local cloud at {endpoint} does not answer ({error}); is it running?") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise Failure(f"GetCallerIdentity: {_member(text, 'Code')}: {_member(text, 'Message')}")
    return {name: _member(text, name) for name in _FIELDS}


def signed_headers(host: str, region: str, keys: Keys, now: datetime.datetime) -> dict[str, str]:
    """Headers of the request, signed.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8", "host": host, "x-amz-date": stamp}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join(["POST", "/", "", lines, names, hashlib.sha256(_BODY.encode()).hexdigest()])
    scope = f"{stamp[:8]}/{region}/sts/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {credential}"}


def _member(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return found.group(1) if found else ""
