"""Is the local `aws` plugin in the local stacks' PULUMI_HOME? Under the version that the installed SDK asks for."""

import io
import shutil
import tarfile
import tempfile
from pathlib import Path

from localcloud.setup import environments, shell
from localcloud.setup.commands import run
from localcloud.setup.places import Places

_NAME = "pulumi-resource-aws"
_LAUNCHER = """\
#!/bin/sh
# The local cloud's own `aws` plugin, in the environment of the checkout that installed it.
PYTHONSAFEPATH=1
export PYTHONSAFEPATH
exec '{python}' -u -m localcloud.awsplugin "$@"
"""


def install(places: Places, engine: Path | None = None) -> bool:
    """Install the plugin, unless it is there as it should be.

    Args:
        places: The checkout.
        engine: The folder of the Pulumi CLI; the one that set-up chose if not given.

    Returns:
        Whether it had to be installed.
    """
    version = environments.installed(places, "pulumi-aws")
    if version is None:  # of a project that is on Kubernetes alone, or uses other clients
        return False
    text = launcher(places.python)
    plugins = places.pulumi_home / "plugins"
    folder = plugins / f"resource-aws-v{version}"
    unfinished = [folder.with_name(f"{folder.name}.partial")]
    if not any(map(Path.exists, unfinished)) and _content(folder / _NAME) == text:
        return False
    for other in plugins.glob("resource-aws-v*"):
        shutil.rmtree(other, ignore_errors=True) if other.is_dir() else other.unlink()
    places.pulumi_home.mkdir(parents=True, exist_ok=True)
    pulumi = (engine or shell.engine(places)) / "pulumi"
    with tempfile.TemporaryDirectory(dir=places.state) as scratch:
        packed = Path(scratch, "aws.tgz")
        packed.write_bytes(tarball(text))
        run(
            [pulumi, "plugin", "install", "resource", "aws", version, "--file", packed],
            what="Installing the local aws plugin",
            log=places.logs / "awsplugin.log",
            environ={
                "PULUMI_HOME": str(places.pulumi_home),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "PULUMI_BACKEND_URL": places.backend.as_uri(),
            },
        )
    return True


def launcher(python: Path) -> bytes:
    """The text of the plugin's command, which runs in the environment of that interpreter."""
    return _LAUNCHER.format(python=str(python).replace("'", "'\\''")).encode()


def tarball(launcher: bytes) -> bytes:
    """The plugin as `pulumi plugin install resource aws VERSION --file aws.tgz` takes it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo(_NAME)
        member.size, member.mode = len(launcher), 0o755
        archive.addfile(member, io.BytesIO(launcher))
    return packed.getvalue()


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
