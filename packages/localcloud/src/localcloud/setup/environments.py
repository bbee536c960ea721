"""Are the virtual environments as the locks say? The project's own, and the cached ones that checkouts share."""

import json
import os
import re
import shutil
import sys
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory

from localcloud.setup import index
from localcloud.setup.commands import answer, require_space, run
from localcloud.setup.exclusive import exclusive
from localcloud.setup.failures import SetupFailed
from localcloud.setup.places import Places, digest, own_checkout, own_lock
from localcloud.setup.progress import step

LEVELS = ("app", "dev")
"""The project's locks, each part of the next in equal versions."""

LIBRARY = "library"
"""The dependency group of what is installed after the lock and without dependencies: its version is all that counts."""

UV_MINIMUM = (0, 8)
_PYTHON_MINIMUM = (3, 11)
_GIGABYTES = 2.0


class Installer:
    """uv, found when it is first needed."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._uv: Path | None = None
        self._environ: dict[str, str] = {}

    def run(self, *arguments: str | Path, what: str, log: str, environ: dict[str, str] | None = None) -> None:
        """Run uv, with the registry that the user's pip has.

        Raises:
            SetupFailed: It failed.
        """
        uv = self.uv()
        with step(what) as shown, TemporaryDirectory() as scratch:  # uv leaves a lock file there for each build
            run(
                [uv, *arguments],
                what=what,
                log=self._places.logs / f"{log}.log",
                environ={"TMPDIR": scratch, **self._environ, **(environ or {})},
                cwd=self._places.root,
                line=shown.at,
            )

    def uv(self) -> Path:
        """Find a recent uv on PATH, or install the locked one into the cache by pip."""
        if self._uv is None:
            self._environ = {"UV_PYTHON_DOWNLOADS": "never"} | index.for_uv(os.environ)
            if os.environ.get("PYTHONDONTWRITEBYTECODE"):
                self._environ["UV_COMPILE_BYTECODE"] = "1"  # or else every start of a program compiles its libraries
            self._uv = _uv_on_path() or _bootstrapped_uv(self._places)
        return self._uv


def project(places: Places, installer: Installer, level: str) -> bool:
    """Bring `.venv` to at least `level`, and the project into it.

    A larger set that is there stays: after the tests' own set-up, any other renews what the tests need, too.

    Returns:
        Whether anything had to be done.
    """
    stamp = places.venv / "setup-stamp.json"
    _make_project_venv(places, installer)
    done = _read(stamp)
    level = max(level, done.get("level", "app"), key=LEVELS.index)
    changed = False
    wanted = {"level": level, "lock": digest(places.lock(level))}
    if any(done.get(key) != value for key, value in wanted.items()):
        require_space(places.venv, _GIGABYTES, "The environment")
        installer.run(
            *("pip", "install", "--quiet", "--python", places.python, "--require-hashes", "-r", places.lock(level)),
            what=f"Install the packages of requirements/{level}.txt",
            log=f"install-{level}",
        )
        changed = True
    library = LIBRARY in places.groups  # such a project is no package itself
    checkouts = [*(() if library else (places.root,)), *places.members]
    if (ours := own_checkout()) is not None and ours not in checkouts:
        checkouts.append(ours)
    own = {str(checkout): digest(checkout / "pyproject.toml") for checkout in (places.root, *checkouts)}
    renewed = changed or any(done.get(key) != value for key, value in own.items())
    if renewed and library:
        installer.run(
            *("pip", "install", "--quiet", "--python", places.python, "--no-deps", "--group", LIBRARY),
            what=f"Install the group {LIBRARY} of pyproject.toml",
            log="install-library",
        )
        changed = True
    if renewed and checkouts:
        installer.run(
            *("pip", "install", "--quiet", "--python", places.python, "--no-deps", "--no-build-isolation"),
            *(word for name in places.names(checkouts) for word in ("--reinstall-package", name)),
            *(word for checkout in checkouts for word in ("-e", checkout)),
            what=f"Install {places.project} itself, editable",
            log="install-project",
        )
        changed = True
    if changed:
        _write(stamp, wanted | own)
    return changed


def cached(places: Places, installer: Installer, lock: Path) -> Path:
    """Make the environment of one lock file in the cache, unless it is there.

    It is made under another name and then renamed, so that it is whole whenever it exists.

    Returns:
        Its folder.
    """
    folder, name = places.cached(lock), lock.stem
    if works(folder / "bin" / "python"):
        return folder
    installer.uv()  # before the lock: it has one of its own
    with exclusive(places.cache / f".{name}.lock", f"the environment of {lock.name}"):
        if works(folder / "bin" / "python"):
            return folder
        require_space(folder, 0.5, f"The environment of {lock.name}")
        shutil.rmtree(folder, ignore_errors=True)
        making = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(making, ignore_errors=True)
        try:
            installer.run(
                *("venv", "--quiet", "--relocatable", "--python", base_python(), making),
                what=f"Make the environment of {lock.name}",
                log=f"venv-{name}",
            )
            installer.run(
                *("pip", "install", "--quiet", "--python", making / "bin" / "python", "--require-hashes"),
                *("-r", lock),
                what=f"Install the packages of {lock.name}",
                log=f"install-{name}",
            )
            making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return folder


def link(places: Places, environment: Path, command: str) -> bool:
    """Put a command of a cached environment among the project's own commands.

    Returns:
        Whether it was not there yet.
    """
    return _points(places.venv / "bin" / command, environment / "bin" / command)


def policy_pack(places: Places, installer: Installer) -> bool:
    """Give the project's policy pack, if there is one, the environment of `requirements/policy.txt`, as its `.venv`.

    It is apart from the project's, because pulumi-policy and the project may want other versions of one package.

    Returns:
        Whether it was not there yet.
    """
    if places.policy_pack is None:
        return False
    return _points(places.policy_pack / ".venv", cached(places, installer, places.lock("policy")))


def installed(places: Places, package: str) -> str | None:
    """Read the version of a package in the project's environment; None if it is not installed there."""
    folders = [str(one) for one in places.venv.glob("lib/python3*/*-packages")]
    return next((found.version for found in distributions(name=package, path=folders)), None)


def works(python: Path) -> bool:
    """Tell whether an interpreter is there and runs: the Python that an environment came from may have gone."""
    return python.exists() and answer([python, "-c", "print(1)"]) == "1"


def base_python() -> str:
    """The interpreter that runs us, outside of any virtual environment."""
    return getattr(sys, "_base_executable", None) or sys.executable


def version_of(text: str | None) -> tuple[int, ...]:
    """Read the first version number of a text; empty when there is none."""
    found = re.search(r"\d+(?:\.\d+)+", text or "")
    return tuple(map(int, found.group().split("."))) if found else ()


def _points(here: Path, there: Path) -> bool:
    """Make one path a link to another; whether it was none yet."""
    if here.is_symlink() and here.readlink() == there:
        return False
    here.unlink(missing_ok=True)
    here.symlink_to(there)
    return True


def _make_project_venv(places: Places, installer: Installer) -> None:
    if works(places.python):
        found = version_of(answer([places.python, "-c", "import platform; print(platform.python_version())"]))
        if found >= _PYTHON_MINIMUM:
            return
    installer.run(
        *("venv", "--quiet", "--clear", "--python", base_python(), places.venv),
        what="Make the virtual environment .venv",
        log="venv",
    )


def _uv_on_path() -> Path | None:
    found = shutil.which("uv")
    return Path(found) if found and version_of(answer([found, "--version"])) >= UV_MINIMUM else None


def _bootstrapped_uv(places: Places) -> Path:
    lock = own_lock("uv")
    folder = places.cached(lock)
    uv = folder / "bin" / "uv"
    if uv.exists():
        return uv
    with exclusive(places.cache / ".uv.lock", "uv"):
        if uv.exists():
            return uv
        making = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(making, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with step("Install uv, the installer") as shown:
                log = places.logs / "uv.log"
                run([base_python(), "-m", "venv", making], what="Making an environment for uv", log=log, line=shown.at)
                run(
                    [making / "bin" / "python", "-m", "pip", "install", "--require-hashes", "-r", lock],
                    what="Installing uv",
                    log=log,
                    line=shown.at,
                )
            making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return uv


def _read(stamp: Path) -> dict[str, str]:
    try:
        return json.loads(stamp.read_text())
    except (OSError, ValueError):
        return {}


def _write(stamp: Path, content: dict[str, str]) -> None:
    try:
        stamp.write_text(json.dumps(content))
    except OSError as error:
        raise SetupFailed(f"{stamp} cannot be written: {error.strerror}") from error
