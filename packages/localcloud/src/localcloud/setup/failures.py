"""What went wrong in set-up, and what should the person do?"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path


class SetupFailed(Exception):
    """One failure of set-up.

    Attributes:
        advice: What to do next, one line each.
    """

    def __init__(self, what: str, *advice: str) -> None:
        super().__init__(what)
        self.advice = advice


def report(error: SetupFailed) -> None:
    """Say on stderr what went wrong, and what to do."""
    print(f"error: {error}", file=sys.stderr)
    for line in error.advice:
        print(f"  {line}", file=sys.stderr)


_CAUSES: Iterable[tuple[str, str, tuple[str, ...]]] = (
    (
        r"no space left|ENOSPC|disk quota exceeded",
        "there is no space left on the disk",
        ("Free some: the environment takes about 1.5 GB, building the engine about 4 GB.",),
    ),
    (
        r"read-only file system|EROFS",
        "the disk is read-only",
        ("Use a checkout and a cache folder (XDG_CACHE_HOME) that can be written to.",),
    ),
    (r"permission denied|EACCES", "a file or folder may not be written", ("See the log for its name.",)),
    (
        r"hash(es)? (mismatch|did not match)|do not match the hashes|checksum mismatch|SECURITY ERROR",
        "a package is not the one that the lock names",
        ("Do not install it by other means. Compare the registry you use with the lock file.",),
    ),
    (
        r"certificate|UnknownIssuer|x509",
        "the registry's certificate is not trusted here",
        ("Name your authority's certificate: PIP_CERT or `pip config set global.cert FILE` (it is used for uv too).",),
    ),
    (
        r"\b(401|403)\b|unauthorized|forbidden",
        "the registry refused",
        ("Check the credentials in your pip configuration (`pip config list`), GOPROXY for Go.",),
    ),
    (
        r"dns error|failed to lookup|name resolution|could not connect|connection (refused|reset|timed out)"
        r"|error sending request|failed to fetch|timed out|network is unreachable|no such host|dial tcp|i/o timeout",
        "the package registry cannot be reached",
        (
            "Check the network, HTTPS_PROXY, and the index of your pip (`pip config list`); for Go, GOPROXY.",
            "Set-up needs the registries only: the first time, and when a lock has changed.",
        ),
    ),
    (
        r"no solution found|no matching distribution|could not find a version|no wheels? with a matching|incompatible",
        "a locked package does not exist for this machine or in this registry",
        ("The locks are for CPython 3.11 or newer on Linux and macOS; a mirror may lack recent versions.",),
    ),
)


def explain(output: str, what: str, log: Path | None = None) -> SetupFailed:
    """Turn the output of a failed command into a failure that names the cause, where it is a known one."""
    where = (f"Its whole output is in {log}",) if log else ()
    for pattern, cause, advice in _CAUSES:
        if re.search(pattern, output, re.IGNORECASE):
            return SetupFailed(f"{what}: {cause}", *advice, *where)
    tail = "\n".join(f"    {line}" for line in output.strip().splitlines()[-8:])
    return SetupFailed(f"{what}:\n{tail}", *where)
