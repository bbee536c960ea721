"""Where does everything lie? In the project's checkout, in its state folder, and in the user's cache."""

import hashlib
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from localcloud.language import VERSION as ENGINE_VERSION
from localcloud.setup.failures import SetupFailed

_PACKAGE = Path(__file__).resolve().parents[1]
ENGINE_MODULE = _PACKAGE / "engine"
"""The Go module that the engine is built from."""
KUBERNETES_MODULE = _PACKAGE / "kubernetesplugin"
"""The Go module that the `kubernetes` plugin is built from."""
OWN_LOCKS = _PACKAGE / "locks"


@dataclass(frozen=True)
class Places:
    """The folders of one project.

    Attributes:
        root: The project's folder.
        project: The name of its state folder and of the cache: `[tool.localcloud] name` of pyproject.toml, or
            `localcloud`.
        cache: What projects of this name share; `XDG_CACHE_HOME` counts.
        environment: What the project runs in; None is its `.venv`.
    """

    root: Path
    project: str
    cache: Path
    environment: Path | None = None

    @classmethod
    def of(cls, root: Path, environ: Mapping[str, str] = os.environ) -> "Places":
        """Find the folders of the project at `root`."""
        root = root.resolve()
        project = str(_document(root).get("tool", {}).get("localcloud", {}).get("name", "localcloud"))
        base = environ.get("XDG_CACHE_HOME", "")
        # A relative XDG_CACHE_HOME is invalid by the XDG base directory specification, to be ignored.
        home = Path(base) if Path(base).is_absolute() else Path(environ.get("HOME") or Path.home(), ".cache")
        return cls(root, project, home / project)

    @classmethod
    def here(cls) -> "Places":
        """Find the folders of the checkout whose environment this process runs in."""
        return cls.of(Path(sys.prefix).parent)

    @classmethod
    def around(cls, folder: Path) -> "Places":
        """Find the folders of the project that `folder` is in, whose environment this process runs in.

        A project has a Pulumi.yaml or a pyproject.toml; without any, `folder` is one.
        """
        folder = folder.resolve()
        marks = ("Pulumi.yaml", "pyproject.toml")
        root = next((one for one in (folder, *folder.parents) if any((one / mark).exists() for mark in marks)), folder)
        return replace(cls.of(root), environment=Path(sys.prefix))

    @property
    def members(self) -> list[Path]:
        """The packages of the project's own uv workspace, if it has one."""
        patterns = _document(self.root).get("tool", {}).get("uv", {}).get("workspace", {}).get("members", [])
        return sorted(found for one in patterns for found in self.root.glob(one) if (found / "pyproject.toml").exists())

    @property
    def groups(self) -> dict[str, list[Any]]:
        """The dependency groups of its pyproject.toml."""
        return _document(self.root).get("dependency-groups", {})

    @staticmethod
    def names(checkouts: list[Path]) -> list[str]:
        """The names of the distributions in some folders."""
        return [str(tomllib.loads((one / "pyproject.toml").read_text())["project"]["name"]) for one in checkouts]

    @property
    def venv(self) -> Path:
        """The environment of the project, its programs and its tests."""
        return self.environment or self.root / ".venv"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.venv / "bin" / "python"

    @property
    def state(self) -> Path:
        """All that running leaves in a checkout."""
        return self.root / f".{self.project}"

    @property
    def record(self) -> Path:
        """What the last set-up chose, for whoever needs it later."""
        return self.state / "setup.json"

    @property
    def logs(self) -> Path:
        """The output of each command that set-up ran."""
        return self.state / "logs"

    @property
    def pulumi_home(self) -> Path:
        """`PULUMI_HOME` of local stacks: their plugins."""
        return self.state / "pulumi-home"

    @property
    def backend(self) -> Path:
        """The file backend of local stacks."""
        return self.state / "pulumi"

    @property
    def server_record(self) -> Path:
        """Where the running local cloud says its URL."""
        return self.state / "cloud" / "server.json"

    @property
    def cluster(self) -> Path:
        """Everything of the cluster, while there is one."""
        return self.state / "cluster"

    @property
    def cluster_access(self) -> Path:
        """What points a client at the cluster, while it runs."""
        return self.cluster / "access.json"

    @property
    def policy_pack(self) -> Path | None:
        """The folder of the project's policy pack, if it has one."""
        folder = self.root / "policy"
        return folder if (folder / "PulumiPolicy.yaml").exists() else None

    @property
    def engine(self) -> Path:
        """Our engine's commands, shared by checkouts."""
        return self.cache / f"pulumi-{ENGINE_VERSION}" / "bin"

    def lock(self, name: str) -> Path:
        """A lock file of the project."""
        return self.root / "requirements" / f"{name}.txt"

    def cached(self, lock: Path) -> Path:
        """The cached environment of one lock file: another lock is another folder."""
        return self.cache / f"{lock.stem}-{digest(lock)[:12]}"

    @property
    def cloud(self) -> Path:
        """The environment that the local cloud's process runs in."""
        return self.cached(own_lock("localcloud"))


def _document(root: Path) -> dict[str, Any]:
    """A project's pyproject.toml; empty if it has none."""
    path = root / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text()) if path.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise SetupFailed(f"{path} is not valid TOML: {error}") from error


def own_lock(name: str) -> Path:
    """A lock file of the local cloud's own: `localcloud`, `uv`, `go`, or `awscli`."""
    return OWN_LOCKS / f"{name}.txt"


def own_checkout() -> Path | None:
    """The folder of the local cloud's own pyproject.toml, when it runs from its sources."""
    folder = _PACKAGE.parents[1]
    return folder if (folder / "pyproject.toml").exists() else None


def advice(verb: str = "run", environ: Mapping[str, str] = os.environ) -> str:
    """What to do when something of the set-up is missing; LOCALCLOUD_SETUP is what the project's people type for it."""
    return f"{verb} the project's set-up, `{environ.get('LOCALCLOUD_SETUP') or 'localcloud start'}`"


def digest(file: Path) -> str:
    """The sha256 of a file, in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
