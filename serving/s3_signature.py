"""The headers of a signed GET of S3 or a compatible store. Pure, and standard library only.

Source: AWS Signature Version 4, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

_NOTHING = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Credentials:
    """AWS keys; temporary ones have a token."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


def signed(url: str, credentials: Credentials, region: str, now: datetime) -> dict[str, str]:
    """The headers to send with a GET of a URL without a query, whose path is encoded; `now` is UTC."""
    parts = urlsplit(url)
    at = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": parts.netloc, "x-amz-content-sha256": _NOTHING, "x-amz-date": at}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"GET\n{parts.path}\n\n{lines}\n{names}\n{_NOTHING}"
    scope = f"{at[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (at[:8], region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    told = f"Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    del headers["host"]  # the HTTP client sends it
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {told}"}
