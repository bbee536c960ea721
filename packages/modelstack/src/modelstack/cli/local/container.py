"""The images of this project, their build contexts, and the Docker engine that builds those for AWS."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from modelstack.cli.errors import OperatorError
from modelstack.cli.local.imported import imported
from modelstack.cli.local.wheels import lock_of
from modelstack.monitoring.custom import FOLDER, files
from modelstack.pipeline.contract import DATA
from modelstack.pipeline.project import SOURCES
from modelstack.pipeline.shared_objects import DECLARED, declared
from modelstack.pipeline.steps import PIPELINE

SUITE = "bookworm"
DEBIAN_BASE = f"modelstack-base:{SUITE}"
PUBLIC_BASE = "docker.io/library/python:3.11-slim-bookworm"
ONE_DOCKER_MANIFEST = ("--provenance=false", "--sbom=false", "--output", "type=docker,oci-mediatypes=false")
"""BuildKit options of `docker build` for an image that SageMaker accepts."""
PACKAGES = "packages"
"""The file of a build context with the names of Debian packages."""
CONTROLLER_PROGRAM = "modelstack.platforms.kubernetes.program.__main__"
_MIRROR = "http://deb.debian.org/debian"
_LEFT_OUT = (
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/locale/*",
)


@dataclass(frozen=True)
class Engine:
    """The Docker engine behind the `docker` command."""

    command: str = "docker"

    @classmethod
    def find(cls, hint: str) -> Engine:
        """The engine; OperatorError with `hint` if none answers."""
        engine = cls()
        if shutil.which(engine.command) is None:
            raise OperatorError("no Docker engine: there is no `docker` command on PATH", hint)
        done = subprocess.run(
            [engine.command, "info", "--format", "{{.ServerVersion}}"], capture_output=True, text=True, check=False
        )
        if done.returncode or not done.stdout.strip():
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise OperatorError(f"no Docker engine answers: {said}", hint)
        return engine

    def run(self, *words: str, given: str | bytes | None = None, environment: dict[str, str] | None = None) -> str:
        """Run a docker command and return its output; OperatorError with its last lines if it fails."""
        done = subprocess.run(
            [self.command, *words],
            input=given.encode() if isinstance(given, str) else given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            env={**os.environ, **(environment or {})},
            check=False,
        )
        if done.returncode:
            said = (done.stdout + b"\n" + done.stderr).decode(errors="replace").strip().splitlines()
            raise OperatorError(f"docker {words[0]} failed: " + "\n  ".join(said[-8:] or ["no reason given"]))
        return done.stdout.decode().strip()

    def image_id(self, name: str) -> str:
        """The id of a local image; empty without one."""
        return self.run("images", "--quiet", "--no-trunc", name)

    def build(self, context: Path, name: str, base: str) -> None:
        """Build a context, with no network in its steps unless it names Debian packages; with BuildKit if there.

        By default BuildKit makes an OCI index, which SageMaker does not accept. The older builder makes no index.
        """
        buildx = subprocess.run([self.command, "buildx", "version"], capture_output=True, check=False).returncode == 0
        packages = context / PACKAGES
        network = "host" if packages.exists() and packages.read_text() else "none"
        self.run(
            *("build", "--network", network, "--build-arg", f"BASE_IMAGE={base}", "--tag", name),
            *(ONE_DOCKER_MANIFEST if buildx else ()),
            str(context),
            environment={"DOCKER_BUILDKIT": "1" if buildx else "0"},
        )

    def push(self, built: str, name: str, host: str, user: str, password: str) -> None:
        """Push an image under a name, without storing the login."""
        self.run("tag", built, name)
        with TemporaryDirectory(prefix="modelstack-docker-") as folder:
            environment = {"DOCKER_CONFIG": folder}
            self.run("login", "--username", user, "--password-stdin", host, given=password, environment=environment)
            self.run("push", "--quiet", name, environment=environment)


def base_image(engine: Engine, progress: Callable[[str], None]) -> str:
    """A base image with Python 3.11: an earlier one, one made from a Debian mirror (as root, 90 s), or a public one."""
    if engine.image_id(DEBIAN_BASE):
        return DEBIAN_BASE
    if not can_make_debian():
        progress(f"taking {PUBLIC_BASE} (debootstrap, run as root, would make a base image from a Debian mirror alone)")
        return PUBLIC_BASE
    engine.run("import", "-", DEBIAN_BASE, given=debian(progress))
    return DEBIAN_BASE


def can_make_debian() -> bool:
    """Whether `debian` works here: as root, with debootstrap."""
    return shutil.which("debootstrap") is not None and os.geteuid() == 0


def debian(progress: Callable[[str], None]) -> bytes:
    """The root file system of a small Debian with Python 3.11 and venv, as a tar; OperatorError if no mirror has it."""
    mirror = os.environ.get("DEBIAN_MIRROR", _MIRROR)
    progress(f"making the base image {DEBIAN_BASE} with debootstrap from {mirror}")
    with TemporaryDirectory(prefix="modelstack-base-") as folder:
        made = subprocess.run(
            ["debootstrap", "--variant=minbase", "--include=python3,python3-venv", SUITE, f"{folder}/root", mirror],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            said = (made.stdout.strip().splitlines() or ["no reason given"])[-1]
            raise OperatorError(
                f"debootstrap failed: {said}", "Name another mirror in DEBIAN_MIRROR, or an image with --base-image."
            )
        excluded = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
        packed = subprocess.run(
            ["tar", "--create", "--directory", f"{folder}/root", *excluded, "."], capture_output=True, check=True
        )
    return packed.stdout


def python_of(engine: Engine, base: str) -> str:
    """The Python version of a base image, as `3.11`; OperatorError if it has none."""
    program = "import sys; print(f'{sys.version_info.major}.{sys.version_info.minor}')"
    return engine.run("run", "--rm", "--network", "none", "--entrypoint", "python3", base, "-c", program)


def lay_out(root: Path, wheels: Path, folder: Path) -> None:
    """Write the build context of the serving image into a folder; `root` is the project."""
    for name in ("Dockerfile", "slim.sh"):
        _copy(SOURCES / "modelstack/serving" / name, folder / name)
    for path in (*_at_the_root(), *sorted((SOURCES / "modelstack/serving").rglob("*.py"))):
        _copy(path, folder / "runtime" / path.relative_to(SOURCES))
    _copy(root / "requirements" / "serving.txt", folder / "serving.txt")
    _write_packages(root, folder)
    shutil.copytree(wheels, folder / "wheels", dirs_exist_ok=True)


def lay_out_training(root: Path, wheels: Path, folder: Path) -> None:
    """Write the build context of the training image into a folder."""
    _copy(SOURCES / "modelstack/pipeline" / "Dockerfile", folder / "Dockerfile")
    rooms = ("pipeline", "monitoring", "records/provenance", "serving", "platforms/aws/jobs")
    for path in (*_at_the_root(), SOURCES / "modelstack/records/__init__.py"):
        _copy(path, folder / "checkout" / path.relative_to(SOURCES))
    for room in rooms:
        for path in sorted((SOURCES / "modelstack" / room).rglob("*.py")):
            _copy(path, folder / "checkout" / path.relative_to(SOURCES))
    programs = {one.program.partition(":")[0] for one in PIPELINE.steps}
    for program in sorted(one for one in programs if one.split(".")[1] not in rooms):
        for name, path in imported(SOURCES, program, without=("model",)).items():
            _copy(path, folder / "checkout" / name)
    for name in ("requirements/app.txt", "requirements/serving.txt", f"requirements/{DECLARED}"):
        if (root / name).exists():
            _copy(root / name, folder / "checkout" / name)
    _write_packages(root, folder)
    if (root / DATA).is_dir():
        shutil.copytree(root / DATA, folder / "checkout" / DATA)
    shutil.copytree(wheels, folder / "wheels", dirs_exist_ok=True)


def controller_files() -> dict[str, Path]:
    """The code in the controller's image, by path: all that its program imports, except AWS."""
    return imported(SOURCES, CONTROLLER_PROGRAM, without=("modelstack.platforms.aws",))


def lay_out_controller(root: Path, wheels: Path, folder: Path) -> None:
    """Write the build context of the controller's image into a folder."""
    _copy(SOURCES / "modelstack/platforms" / "kubernetes" / "Dockerfile", folder / "Dockerfile")
    for name, path in controller_files().items():
        _copy(path, folder / "runtime" / name)
    for path in files(root / FOLDER):
        _copy(path, folder / "runtime" / FOLDER / path.name)
    _copy(lock_of(root, "controller"), folder / "controller.txt")
    shutil.copytree(wheels, folder / "wheels", dirs_exist_ok=True)


@dataclass(frozen=True)
class ImageKind:
    """An image of this project.

    Attributes:
        name: Also the name of its lock.
        lay_out: Writes its build context into a folder.
        setting: The config field for its name.
        word: Label of its line in the output.
    """

    name: str
    lay_out: Callable[[Path, Path, Path], None]
    suffix: str
    setting: str
    word: str


SERVING = ImageKind("serving", lay_out, "", "modelstack:serving.image", "image")
TRAINING = ImageKind("training", lay_out_training, "-train", "modelstack:retraining.image", "train")
CONTROLLER = ImageKind("controller", lay_out_controller, "", "modelstack:kubernetes.registry", "controller")
"""For Kubernetes only."""


def _at_the_root() -> list[Path]:
    """The library's modules outside its subpackages, which every image has."""
    return sorted((SOURCES / "modelstack").glob("*.py"))


def _copy(source: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, to)
    to.chmod(0o644)


def _write_packages(root: Path, folder: Path) -> None:
    """Name the Debian packages of the image, a line for each."""
    names = [f"{line}\n" for line in declared(root / "requirements") if ".so" not in line]
    (folder / PACKAGES).write_text("".join(names))


def image_tag(context: Path, base_id: str) -> str:
    """A tag for the content of a build context and its base, so that the same inputs are built once."""
    sha256 = hashlib.sha256(base_id.encode())
    for path in sorted(context.rglob("*")):
        if path.is_file():
            sha256.update(f"{path.relative_to(context)}\n".encode())
            with path.open("rb") as file:
                sha256.update(hashlib.file_digest(file, "sha256").digest())
    return sha256.hexdigest()[:12]
