"""Lists objects of the API server, and lists them again whenever one changes: for what Prometheus is told by files."""

from __future__ import annotations

import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localcloud.cluster.layout import API_URL

_WATCH_SECONDS = 60
_PAUSE = 0.5


def listings(pki: Path, path: str) -> Iterator[list[dict[str, Any]]]:
    """All objects of a path, as Prometheus may read them, now and after each change; does not end.

    Args:
        pki: The folder of the cluster's certificates.
        path: Such as `/api/v1/pods`, with a query or without.
    """
    opener, url = _opener(pki), f"{API_URL}{path}"
    while True:
        try:
            with opener.open(url, timeout=10) as answered:
                found = json.load(answered)
            yield found["items"]
            since = f"watch=1&resourceVersion={found['metadata']['resourceVersion']}&timeoutSeconds={_WATCH_SECONDS}"
            with opener.open(f"{url}{'&' if '?' in path else '?'}{since}", timeout=_WATCH_SECONDS + 10) as changes:
                changes.readline()
        except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        time.sleep(_PAUSE)


def listed(pki: Path, path: str) -> list[dict[str, Any]]:
    """All objects of a path once.

    Raises:
        OSError: The API server does not answer, or refuses.
    """
    with _opener(pki).open(f"{API_URL}{path}", timeout=10) as answered:
        return json.load(answered)["items"]


def reload(address: str) -> str:
    """Let Prometheus or Alertmanager read its files anew; what it says against them, empty when nothing."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(urllib.request.Request(f"http://{address}/-/reload", method="POST"), timeout=10).close()
    except urllib.error.HTTPError as error:
        return error.read().decode(errors="replace").strip() or str(error)
    except (urllib.error.URLError, OSError) as error:  # one that starts later reads the files then
        print(f"http://{address} does not read its files anew: {error}", file=sys.stderr, flush=True)
    return ""


def _opener(pki: Path) -> urllib.request.OpenerDirector:
    trust = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    trust.load_cert_chain(pki / "prometheus.crt", pki / "prometheus.key")
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))


def keep(file: Path, text: str) -> bool:
    """Write a file in one step, unless it has this text; whether it was written."""
    if file.exists() and file.read_text() == text:
        return False
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.replace(file)
    return True
