"""Is there what a project needs to work on the local cloud? A Pulumi CLI, the cloud's own environment, and plugins."""

import json

from localcloud.setup import awsplugin, engine, environments, kubernetesplugin
from localcloud.setup.environments import Installer
from localcloud.setup.exclusive import exclusive
from localcloud.setup.places import Places, own_lock


def install(places: Places, *, kubernetes: bool = False, awscli: bool = False) -> bool:
    """Install what is missing, and record what was chosen. The project's own environment stays as it is.

    Args:
        places: The project, with its environment.
        kubernetes: Also the plugin for Kubernetes; to build it takes some minutes.
        awscli: Also the `aws` command, in the project's environment.

    Returns:
        Whether anything had to be done.

    Raises:
        SetupFailed: Something is missing; the message says what.
    """
    with exclusive(places.state / "setup.lock", str(places.root)):
        ignore = places.state / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        installer = Installer(places)
        before = _record(places)
        cloud = environments.cached(places, installer, own_lock("localcloud"))
        cli = engine.choose(places, installer)
        places.backend.mkdir(parents=True, exist_ok=True)
        changed = awsplugin.install(places, cli)
        if kubernetes:
            changed |= kubernetesplugin.install(places, installer, cli)
        if awscli:
            changed |= environments.link(places, environments.cached(places, installer, own_lock("awscli")), "aws")
        now = {"engine": str(cli), "localcloud": str(cloud)}
        if before != now:
            places.record.write_text(json.dumps(now, indent=1))
        return changed or before != now


def _record(places: Places) -> dict[str, str]:
    try:
        return json.loads(places.record.read_text())
    except (OSError, ValueError):
        return {}
