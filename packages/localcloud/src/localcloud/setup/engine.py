"""Which Pulumi CLI is used? The one on PATH if it is recent, else the real engine, built from its Go module."""

import os
import shutil
from pathlib import Path

from localcloud.language import VERSION, bundle
from localcloud.setup import golang
from localcloud.setup.commands import answer, require_space
from localcloud.setup.environments import Installer, version_of
from localcloud.setup.exclusive import exclusive
from localcloud.setup.places import ENGINE_MODULE, Places

MINIMUM = (3, 250)
"""The oldest CLI that is good enough."""

_MODULE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_LDFLAGS = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{VERSION}"
_GIGABYTES = 5.0
_OFFICIAL = f"Pulumi CLI from {'.'.join(map(str, MINIMUM))} on PATH"


def choose(places: Places, installer: Installer, path: str | None = None) -> Path:
    """Find the folder of a Pulumi CLI that runs Python programs; build one if there is none.

    Args:
        places: The checkout.
        installer: For Go, where there is none.
        path: The search path; that of the environment when None.

    Returns:
        The folder that holds `pulumi` and its language host.

    Raises:
        SetupFailed: It could not be built.
    """
    official = on_path(places, path)
    if official is not None:
        return official
    pulumi = places.engine / "pulumi"
    if not pulumi.exists():
        with exclusive(places.cache / ".engine.lock", "the Pulumi engine"):
            if not pulumi.exists():
                require_space(places.cache, _GIGABYTES, "Building the Pulumi engine")
                with golang.found(places, installer, ENGINE_MODULE, instead=_OFFICIAL) as go:
                    build = golang.Build(f"the Pulumi engine {VERSION}", ENGINE_MODULE, (_MODULE,), _LDFLAGS)
                    golang.build(go, build, places.engine, places.logs / "engine.log")
    bundle.install(places.engine)  # beside it, where the engine takes them as bundled
    return places.engine


def on_path(places: Places, path: str | None = None) -> Path | None:
    """Find a recent CLI on PATH that brings its own Python host; ours on PATH is not one."""
    for folder in (path if path is not None else os.environ.get("PATH", "")).split(os.pathsep):
        pulumi = shutil.which("pulumi", path=folder) if folder else None
        if pulumi is None or Path(pulumi).resolve().parent == places.engine.resolve():
            continue
        # The first one counts, as for the shell.
        asked = answer([pulumi, "version"], {"PULUMI_SKIP_UPDATE_CHECK": "true"})
        host = Path(pulumi).resolve().parent / bundle.NAMES[0]
        recent = version_of(asked) >= MINIMUM
        if recent and (host.exists() or shutil.which(bundle.NAMES[0], path=path)):
            return Path(pulumi).parent
        return None
    return None
