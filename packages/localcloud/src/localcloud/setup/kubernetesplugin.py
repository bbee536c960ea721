"""Is the genuine `kubernetes` plugin in the local stacks' PULUMI_HOME? The official one, or one built from its module.

It needs no local stand-in, as the `aws` plugin does: a kubeconfig says which cluster is meant.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from localcloud.setup import environments, golang
from localcloud.setup.commands import require_space, run
from localcloud.setup.environments import Installer
from localcloud.setup.exclusive import exclusive
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import KUBERNETES_MODULE, Places
from localcloud.setup.progress import step

NAME = "pulumi-resource-kubernetes"
_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"
_MAJOR = "4"
_VERSION = f"{_PROVIDER}/pkg/version.Version"
_EMBEDDED = ("schema.json", "terraform-mapping.json")
_GIGABYTES = 6.0


def install(places: Places, installer: Installer, engine: Path) -> bool:
    """Install the plugin under the version that the installed pulumi-kubernetes asks for, unless it is there.

    The user's own official plugin is taken, or the one that was built already; else it is downloaded, or built if it
    cannot be.

    Args:
        places: The checkout.
        installer: For Go, where there is none.
        engine: The folder of the Pulumi CLI.

    Returns:
        Whether anything had to be done.

    Raises:
        SetupFailed: The SDK is not installed, its version cannot be had, or the build failed.
    """
    version = environments.installed(places, "pulumi-kubernetes")
    if version is None:
        raise SetupFailed(f"pulumi-kubernetes is not installed in {places.venv}", "Install it there, by pip or a lock.")
    plugins = places.pulumi_home / "plugins"
    if _is_whole(plugins, version) and not _command(plugins, version).is_symlink():
        return False  # downloaded
    source = users_own(places, version) or built_in(places, version)
    if source.exists():
        return _link(plugins, version, source)
    if not _downloaded(places, engine, version):
        build(places, installer, version)
        _link(plugins, version, source)
    return True


def users_own(places: Places, version: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Find the command of the official plugin of that version, where the user's own CLI keeps it."""
    home = Path(environ.get("HOME") or Path.home(), ".pulumi")
    for folder in (Path(environ.get("PULUMI_HOME") or home), home):
        if folder.resolve() != places.pulumi_home.resolve() and _is_whole(folder / "plugins", version):
            return _command(folder / "plugins", version)
    return None


def built_in(places: Places, version: str) -> Path:
    """Where the command is that is built of the module's files as they are now, for a version of the SDK."""
    content = hashlib.sha256(version.encode())
    for file in sorted(KUBERNETES_MODULE.iterdir()):
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return places.cache / f"resource-kubernetes-{version}-{content.hexdigest()[:12]}" / NAME


def build(places: Places, installer: Installer, version: str) -> None:
    """Build the command into the user's cache, unless it is there.

    Raises:
        SetupFailed: It could not be built.
    """
    command = built_in(places, version)
    if version.split(".", maxsplit=1)[0] != _MAJOR:
        raise SetupFailed(
            f"requirements/app.txt names pulumi-kubernetes {version}, and its plugin can be built for {_MAJOR}.x only",
            f"Make the official plugin reachable (`pulumi plugin install resource kubernetes {version}`).",
        )
    with exclusive(places.cache / ".resource-kubernetes.lock", "the Kubernetes plugin"):
        if command.exists():
            return
        require_space(places.cache, _GIGABYTES, "Building the Kubernetes plugin")
        log, instead = places.logs / "kubernetesplugin.log", f"official Kubernetes plugin {version}"
        with golang.found(places, installer, KUBERNETES_MODULE, instead) as go, _module(go, version, log) as module:
            what = f"the Kubernetes plugin {version}"
            made = golang.Build(what, module, (".",), f"-s -w -X {_VERSION}={version}")
            golang.build(go, made, command.parent, log)


def versioned(schema: str, version: str) -> str:
    """Give the package's schema the version that it is served under, as the official build does."""
    return json.dumps(json.loads(schema) | {"version": version}, separators=(",", ":"))


@contextmanager
def _module(go: golang.Go, version: str, log: Path) -> Iterator[Path]:
    """A copy of our module with the files that its command embeds, which come from the provider's module."""
    with TemporaryDirectory() as scratch:
        module = Path(shutil.copytree(KUBERNETES_MODULE, Path(scratch, "module")))
        published = golang.source(go, module, _PROVIDER, log) / "cmd" / NAME
        schema, mapping = _EMBEDDED
        (module / schema).write_text(versioned((published / schema).read_text(), version))
        shutil.copyfile(published / mapping, module / mapping)
        yield module


def _downloaded(places: Places, engine: Path, version: str) -> bool:
    """Try to have the CLI fetch the official plugin."""
    try:
        with step(f"Download the official Kubernetes plugin {version}") as shown:
            run(
                [engine / "pulumi", "plugin", "install", "resource", "kubernetes", version],
                what="Downloading the Kubernetes plugin",
                log=places.logs / "kubernetesplugin-download.log",
                environ={
                    "PULUMI_HOME": str(places.pulumi_home),
                    "PULUMI_SKIP_UPDATE_CHECK": "true",
                    "PULUMI_BACKEND_URL": places.backend.as_uri(),
                },
                line=shown.at,
            )
    except SetupFailed:
        return False
    return _is_whole(places.pulumi_home / "plugins", version)


def _link(plugins: Path, version: str, source: Path) -> bool:
    """Put a command that lies elsewhere under that version, and no other; whether it was not there yet."""
    command = _command(plugins, version)
    if _is_whole(plugins, version) and command.readlink() == source:
        return False
    for other in plugins.glob("resource-kubernetes-v*"):
        shutil.rmtree(other) if other.is_dir() else other.unlink()
    command.parent.mkdir(parents=True)
    command.symlink_to(source)
    return True


def _command(plugins: Path, version: str) -> Path:
    return plugins / f"resource-kubernetes-v{version}" / NAME


def _is_whole(plugins: Path, version: str) -> bool:
    command = _command(plugins, version)
    return os.access(command, os.X_OK) and not command.parent.with_name(f"{command.parent.name}.partial").exists()
