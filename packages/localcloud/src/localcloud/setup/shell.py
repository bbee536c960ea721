"""Which environment variables point a client at the local stacks?"""

import argparse
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from localcloud.server import configuration, credentials
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import Places, advice

PORT = 4566

UNSET = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "PULUMI_ACCESS_TOKEN")
"""What would point a client elsewhere."""

POLICY_PACK = "PULUMI_OPTION_POLICY_PACK"
"""What the CLI takes `--policy-pack` from, at each preview and update."""

_LOOPBACK = "127.0.0.1,localhost"


def variables(places: Places, environ: Mapping[str, str] = os.environ, account: str | None = None) -> dict[str, str]:
    """Say what to set.

    Args:
        places: A checkout that was set up.
        environ: The environment they are added to.
        account: The account to work in, 12 digits; None is the cloud's own. One that is not there yet is made.

    Returns:
        Name to value; those of the cluster only while it runs. The keys are those of the account's root, made now if
        it has none yet. The passphrase is known to all: the local stacks' secrets are as local as their cloud.

    Raises:
        SetupFailed: The checkout was not set up, or the account is not 12 digits.
    """
    region = region_of(places)
    first = [str(engine(places)), str(places.venv / "bin")]
    path = [folder for folder in environ.get("PATH", os.defpath).split(os.pathsep) if folder not in first]
    wanted = {
        "PATH": os.pathsep.join([*first, *path]),
        "PULUMI_HOME": str(places.pulumi_home),
        "PULUMI_BACKEND_URL": places.backend.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "local",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "AWS_ENDPOINT_URL": endpoint(places, environ),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        **_keys(places, account),
        "AWS_EC2_METADATA_DISABLED": "true",
        **cluster(places),
    }
    if places.policy_pack:
        wanted[POLICY_PACK] = str(places.policy_pack)
    if any(environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY")):
        direct = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
        wanted["NO_PROXY"] = wanted["no_proxy"] = (
            direct if direct.startswith(_LOOPBACK) else ",".join(filter(None, (_LOOPBACK, direct)))
        )
    return wanted


def exports(places: Places, environ: Mapping[str, str] = os.environ, account: str | None = None) -> str:
    """Write them for a POSIX shell's `eval`."""
    lines = [f"unset {' '.join(UNSET)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables(places, environ, account).items()]
    return "\n".join(lines)


def applied(places: Places, environ: Mapping[str, str] = os.environ, account: str | None = None) -> dict[str, str]:
    """The whole environment of a process that works on the local stack."""
    kept = {name: value for name, value in environ.items() if name not in UNSET}
    return kept | variables(places, environ, account)


def enter(places: Places, account: str | None = None) -> None:
    """Become the user's shell in that environment."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    where = f" in account {account}" if account else ""
    environment = applied(places, account=account)
    print(f"A shell on the local stack of {places.root}{where}; `exit` leaves it.", flush=True)
    os.execve(shell, [Path(shell).name], environment)


def account_option() -> argparse.ArgumentParser:
    """What `env` and `shell` take."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--account", help="12 digits; made if it is not there yet (default: the cloud's own account)")
    return parser


def endpoint(places: Places, environ: Mapping[str, str] = os.environ) -> str:
    """The URL of the running local cloud, or where it would be."""
    return _running(places, "url") or f"http://127.0.0.1:{environ.get('LOCALCLOUD_PORT') or PORT}"


def region_of(places: Places) -> str:
    """The region of the running local cloud, or the one that the project's configuration names.

    Raises:
        SetupFailed: The file holds something that is not allowed.
    """
    try:
        return _running(places, "region") or configuration.load(configuration.of_project(places.root)).region
    except configuration.ConfigurationError as error:
        raise SetupFailed(str(error), "Mend the file.") from error


def _keys(places: Places, account: str | None) -> dict[str, str]:
    try:
        return credentials.of(places.server_record.parent, account).environment()
    except credentials.CredentialsUnusable as error:
        raise SetupFailed(str(error)) from error


def cluster(places: Places) -> dict[str, str]:
    """The variables that point at the cluster of a checkout; none unless it runs."""
    try:
        told = json.loads(places.cluster_access.read_text())
        runs = Path(told["network"]["path"]).stat().st_ino == told["network"]["inode"]
    except (OSError, ValueError, KeyError):
        return {}
    return dict(told["variables"]) if runs else {}


def _running(places: Places, fact: str) -> str | None:
    """What the running local cloud says of itself."""
    try:
        return str(json.loads(places.server_record.read_text())[fact])
    except (OSError, ValueError, KeyError):
        return None


def engine(places: Places) -> Path:
    """The folder of the CLI that set-up chose."""
    try:
        folder = Path(json.loads(places.record.read_text())["engine"])
    except (OSError, ValueError, KeyError):
        folder = None
    if folder is None or not (folder / "pulumi").exists():
        raise SetupFailed(f"{places.root} has not been set up, or its Pulumi CLI has gone", f"{advice('Run')}.")
    return folder
