"""Rebuilds a package from its commit, data and locks in a temporary folder with an empty cache, and compares."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modelstack.cli.errors import UNKNOWN, OperatorError
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.platform.package_store import newest
from modelstack.cli.target import Target, project_root
from modelstack.cli.view.releases import Name, find
from modelstack.pipeline import archive
from modelstack.pipeline.contract import DATA
from modelstack.pipeline.project import SOURCES
from modelstack.records.provenance.envelope import SignatureError
from modelstack.records.provenance.evidence import FACTS
from modelstack.records.provenance.facts import Facts
from modelstack.records.provenance.reproduction import Change, changes, lacking, recipe_parts, surroundings
from modelstack.services.sealed_packages import RegistryError

_VERSIONS = 100
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LOCKS = ("requirements/app.txt", "requirements/serving.txt")
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Reproduced:
    """The result of rebuilding a package; `digest` is of the new archive, `around` has differences in the environment.

    `members` are the files that differ, empty unless `compared`: whether the original archive was available.
    """

    facts: Facts
    digest: str
    members: tuple[Change, ...]
    around: tuple[Change, ...]
    compared: bool

    @property
    def same(self) -> bool:
        """Whether both have the same bytes."""
        return self.digest == self.facts.package.digest


def facts_of(target: Target, word: str) -> Facts:
    """The verified facts of a package, by its digest or a name of its release; OperatorError without."""
    store, digest = platform_of(target).package_store(), word.lower()
    is_stored = bool(_DIGEST.fullmatch(digest) and store.signers(digest))  # however long ago it was registered
    package, signed_by = digest if is_stored else _package(word, target), target.output("signing_key").encode()
    try:
        return store.evidence(package, signed_by).verify(package, signed_by)
    except (RegistryError, SignatureError) as error:
        raise OperatorError(f"what is said of {package} is not to be believed: {error}") from None


def _package(word: str, target: Target) -> str:
    """The digest of the package; several releases may share one, each in another image."""
    platform = platform_of(target)
    names = [
        Name(one.view.release, one.lineage["recipe"], one.view.digest)
        for one in newest(platform.versions(), _VERSIONS)
        if one.lineage.get("recipe") and one.view.digest
    ]
    meant = {name.package for name in names if name.meant_by(word)}
    if len(meant) == 1:
        return meant.pop()
    found = find(word, names)
    if found is None:
        raise OperatorError(
            f"{word}: no such package is among the newest {_VERSIONS} of {platform.registry_name()}",
            "Give a whole package digest, as sha256:..., or the id of a release. `modelstack audit show` lists them.",
            UNKNOWN,
        )
    return found.package


def reproduce(target: Target, facts: Facts, progress: Progress) -> Reproduced:
    """Rebuild a package and compare; raises OperatorError if an input is missing or the build fails."""
    if why := lacking(facts):
        raise OperatorError(f"{facts.package.digest} cannot be built again: {why}", exit_code=UNKNOWN)
    with (
        TemporaryDirectory(prefix="modelstack-reproduce-") as name,
        checked_out(facts, Path(name) / "checkout") as root,
    ):
        folder = Path(name)
        progress(f"checked out {facts.source.commit}")
        python = _environment(root, facts, progress)
        run = partial(_pipeline, root, python, folder / "cache")
        parameters = recipe_parts(facts)["parameters"]
        _check_recipe(facts, run("recipe", "--parameters", parameters))
        progress(f"training {facts.id}, in an empty cache")
        made = run("build", "--parameters", parameters, "--workdir", str(folder / "work"))
        built = Path(made["path"])
        now = Facts.from_json(built.with_name(FACTS).read_bytes())
        around = changes(surroundings(facts), surroundings(now))
        if made["digest"] == facts.package.digest:
            return Reproduced(facts, made["digest"], (), around, compared=True)
        then = _members_of_then(target, facts, folder / "then.tar.gz")
        members = changes(then, dict(archive.verify(built).content["files"])) if then else ()
        return Reproduced(facts, made["digest"], members, around, compared=then is not None)


@contextmanager
def checked_out(facts: Facts, folder: Path) -> Iterator[Path]:
    """The commit of a package in a temporary worktree; OperatorError if this repository does not have it."""
    commit, remote = facts.source.commit or "", facts.source.remote
    if _git("cat-file", "-e", f"{commit}^{{commit}}").returncode != 0:
        get = f"git fetch {remote} {commit}" if remote else "fetch it from where it was made: no remote is known"
        if _git("rev-parse", "--is-shallow-repository").stdout.strip() == "true":
            get = "git fetch --unshallow"
        raise OperatorError(
            f"commit {commit} is not in the repository {project_root()}", f"Get it, and try again: {get}", UNKNOWN
        )
    added = _git("worktree", "add", "--detach", str(folder), commit)
    if added.returncode != 0:
        raise OperatorError(f"commit {commit} cannot be checked out: {added.stderr.strip()}", exit_code=UNKNOWN)
    try:
        data = project_root() / DATA
        if data.is_dir() and not (folder / DATA).exists():
            (folder / DATA).symlink_to(data)  # git does not keep it; its digest is compared
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(project_root()), *words]
    return subprocess.run(command, env=own, capture_output=True, text=True, check=False)


def _environment(root: Path, facts: Facts, progress: Progress) -> Path:
    """A Python with the libraries that the commit locks: this one, if the locks are the same."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = facts.recipe.python
    ours = project_root()
    same = all((root / name).is_file() and (root / name).read_bytes() == (ours / name).read_bytes() for name in _LOCKS)
    if wanted == here and same:
        progress("the locks of then are those of this checkout: its environment is taken")
        return Path(sys.executable)
    python = getattr(sys, "_base_executable", sys.executable) if wanted == here else shutil.which(f"python{wanted}")
    if python is None:
        raise OperatorError(
            f"the package was built with Python {wanted}, and there is no python{wanted} on PATH", exit_code=UNKNOWN
        )
    progress(f"making an environment of Python {wanted} and the locks of then")
    done = subprocess.run(
        [python, "-m", "localcloud.setup", "install", "--level", "app", "--packages-only", "--quiet"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, _sources(root)))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise OperatorError(f"the environment of then cannot be made: {done.stderr.strip()[-2000:]}", exit_code=UNKNOWN)
    return root / ".venv" / "bin" / "python"


def _sources(root: Path) -> list[Path]:
    """The folders of sources in a checkout: of this layout, of the one before, or where this library runs."""
    found = [*root.glob("packages/*/src"), *root.glob("localcloud/src")]
    return found or [SOURCES]


def _pipeline(root: Path, python: Path, cache: Path, *words: str) -> dict[str, Any]:
    """Run `python -m modelstack.pipeline ...` of a checkout and return its JSON; OperatorError with its
    message if it fails.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(python), "-m", "pipeline" if (root / "pipeline").is_dir() else "modelstack.pipeline", *words],
        cwd=root,
        env={**kept, "PYTHONPATH": os.pathsep.join(map(str, (root, *_sources(root)))), "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise OperatorError(
            f"the pipeline of then refuses to {words[0]}: {done.stderr.strip()[-2000:]}", exit_code=UNKNOWN
        )
    return json.loads(done.stdout)


def _check_recipe(facts: Facts, found: Mapping[str, str]) -> None:
    """Check that commit, data and environment give the same recipe; nothing else has to be the same."""
    if found["digest"] == facts.recipe.digest:
        return
    parts = changes(recipe_parts(facts), {name: value for name, value in found.items() if name != "digest"})
    told = "".join(f"\n  {part.text}" for part in parts)
    dirty = (
        f"\nIt was built from a checkout that had changes beside commit {facts.source.commit}, and no commit has them."
        if facts.source.dirty
        else ""
    )
    raise OperatorError(
        f"{facts.package.digest} cannot be built again, as its recipe is lacking:{told}{dirty}", exit_code=UNKNOWN
    )


def _members_of_then(target: Target, facts: Facts, path: Path) -> dict[str, str] | None:
    """Files of the original archive -> sha256; None if it is not available."""
    try:
        platform_of(target).package_store().fetch(facts.package.digest, path)
    except RegistryError:
        return None
    return dict(archive.verify(path, facts.package.digest).content["files"])


def told(outcome: Reproduced) -> str:
    """The outcome for a person."""
    then = outcome.facts.package.digest
    around = [f"  {one.text}" for one in outcome.around]
    if outcome.same:
        return "\n".join(
            [f"the same digest: {then}", *(["though around it there differs:", *around] if around else [])]
        )
    lines = [f"another digest: {then} then, {outcome.digest} now"]
    if outcome.compared:
        lines += ["files of the archive that differ:", *(f"  {one.text}" for one in outcome.members)]
    else:
        lines.append("the archive of then cannot be had, so its files are not compared")
    if around:
        return "\n".join([*lines, "around the build there differs:", *around])
    return "\n".join([*lines, "Python, machine and libraries are those of then"])
