"""Where does everything lie? In the project's checkout, in its state folder, and in the user's cache."""

import hashlib
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.language import VERSION as ENGINE_VERSION

_PACKAGE = Path(__file__).resolve().parents[1]
ENGINE_MODULE = _PACKAGE / "engine"
"""The Go module that the engine is built from."""
KUBERNETES_MODULE = _PACKAGE / "kubernetesplugin"
"""The Go module that the `kubernetes` plugin is built from."""
OWN_LOCKS = _PACKAGE / "locks"


@dataclass(frozen=True)
class Places:
    """The folders of one checkout.

    Attributes:
        root: The checkout.
        project: Its name, from `[project]` of pyproject.toml; the cache folder carries it.
        cache: What checkouts share; `XDG_CACHE_HOME` counts.
    """

    root: Path
    project: str
    cache: Path

    @classmethod
    def of(cls, root: Path, environ: Mapping[str, str] = os.environ) -> "Places":
        """Find the folders of the checkout at `root`."""
        root = root.resolve()
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]["name"]
        base = environ.get("XDG_CACHE_HOME", "")
        # A relative XDG_CACHE_HOME is invalid by the XDG base directory specification, to be ignored.
        home = Path(base) if Path(base).is_absolute() else Path(environ.get("HOME") or Path.home(), ".cache")
        return cls(root, project, home / project)

    @classmethod
    def here(cls) -> "Places":
        """Find the folders of the checkout whose environment this process runs in."""
        return cls.of(Path(sys.prefix).parent)

    @property
    def members(self) -> list[Path]:
        """The packages of the project's own uv workspace, if it has one."""
        document = tomllib.loads((self.root / "pyproject.toml").read_text())
        patterns = document.get("tool", {}).get("uv", {}).get("workspace", {}).get("members", [])
        return sorted(found for one in patterns for found in self.root.glob(one) if (found / "pyproject.toml").exists())

    @staticmethod
    def names(checkouts: list[Path]) -> list[str]:
        """The names of the distributions in some folders."""
        return [str(tomllib.loads((one / "pyproject.toml").read_text())["project"]["name"]) for one in checkouts]

    @property
    def venv(self) -> Path:
        """The environment of the project, its programs and its tests."""
        return self.root / ".venv"

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


def own_lock(name: str) -> Path:
    """A lock file of the local cloud's own: `localcloud`, `uv`, `go`, or `awscli`."""
    return OWN_LOCKS / f"{name}.txt"


def own_checkout() -> Path | None:
    """The folder of the local cloud's own pyproject.toml, when it runs from its sources."""
    folder = _PACKAGE.parents[1]
    return folder if (folder / "pyproject.toml").exists() else None


def advice(verb: str = "run", environ: Mapping[str, str] = os.environ) -> str:
    """What to do when something of the set-up is missing; LOCALCLOUD_SETUP is what the project's people type for it."""
    return f"{verb} the project's set-up, `{environ.get('LOCALCLOUD_SETUP') or 'python -m localcloud.setup install'}`"


def digest(file: Path) -> str:
    """The sha256 of a file, in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
