"""Which registry does the user have? uv does not read pip's configuration, so what is set for pip is told to uv."""

import ast
import sys
from collections.abc import Mapping

from localcloud.setup.commands import answer

_TOLD = {
    # pip's option: uv's variable. A list in pip is separated by white space or lines, in uv by spaces.
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "proxy": "ALL_PROXY",
}
_LISTS = {"UV_FIND_LINKS": ","}


def for_uv(environ: Mapping[str, str], configured: str | None = None) -> dict[str, str]:
    """Say in uv's words what the user's pip is set to.

    Args:
        environ: The environment; what it says to uv already stays as it is.
        configured: The output of `pip config list`; asked for when None.

    Returns:
        The variables to add.
    """
    told: dict[str, str] = {}
    for option, value in _options(configured if configured is not None else _ask()).items():
        variable = _TOLD.get(option)
        if not variable or not value or environ.get(variable) or (variable, option) == ("UV_INDEX", ""):
            continue
        if variable == "UV_DEFAULT_INDEX" and environ.get("UV_INDEX_URL"):
            continue
        told[variable] = _LISTS.get(variable, " ").join(value.split())
    return told


def _ask() -> str:
    return answer([sys.executable, "-m", "pip", "config", "list"]) or ""


def _options(listed: str) -> dict[str, str]:
    """Read lines such as `global.index-url='...'`; the environment (`:env:`) beats `install`, which beats `global`."""
    ranked: dict[str, tuple[int, str]] = {}
    for line in listed.splitlines():
        key, _, literal = line.partition("=")
        section, _, option = key.strip().rpartition(".")
        rank = {"global": 1, "install": 2, ":env:": 3}.get(section, 0)
        if not rank:
            continue
        try:
            value = str(ast.literal_eval(literal))
        except (SyntaxError, ValueError):
            value = literal.strip()
        if rank >= ranked.get(option, (0, ""))[0]:
            ranked[option] = (rank, value)
    return {option: value for option, (_, value) in ranked.items()}
