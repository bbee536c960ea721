"""The developer's commands: `python -m modelstack.pipeline check | example | recipe | build | inspect FILE |
verify FILE`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from modelstack.pipeline import archive, documents, outline, step
from modelstack.pipeline.build import build
from modelstack.pipeline.contract import ContractBroken, RecipeError
from modelstack.pipeline.gate import GateError, GateRefused
from modelstack.pipeline.origin import OriginError
from modelstack.pipeline.pack import describe
from modelstack.pipeline.project import NoProject, project_root
from modelstack.pipeline.recipe import check_locks, recipe
from modelstack.pipeline.step import StepFailed
from modelstack.records.provenance.envelope import SignatureError
from modelstack.records.provenance.key_pair import KeyFileError

_REFUSALS = (
    *(archive.ArchiveError, ContractBroken, GateError, GateRefused, KeyFileError, OriginError),
    *(RecipeError, SignatureError, StepFailed),
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; status 1 means refused, with the reason on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m modelstack.pipeline", description="What determines a model, and what is in it."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("check", "say what model/ has, what it lacks, and what each part buys"),
        ("example", "print a request that the model answers"),
        ("recipe", "print the recipe"),
        ("build", "train, evaluate, gate, seal, and sign what is said of it"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "--root", type=Path, help="the project; by default the nearest folder upwards that has a Pulumi.yaml"
        )
        if name in ("recipe", "build"):
            command.add_argument(
                "--parameters", type=_json, default={}, help="JSON object; no stack's config is read. {} by default"
            )
        if name == "build":
            command.add_argument("--gates", type=_json, default={}, help='JSON, such as {"auc": {"min": 0.6}}')
            command.add_argument("--workdir", type=Path, help="where outcomes are kept; by default the user's cache")
            command.add_argument("--key", type=Path, help="private key to sign with, PEM; by default one of your own")
    inspect = commands.add_parser("inspect", help="check an archive and print its manifest")
    inspect.add_argument("file", type=Path)
    verify = commands.add_parser("verify", help="verify an archive and its documents, before any of it is parsed")
    verify.add_argument("file", type=Path)
    verify.add_argument("--key", type=Path, required=True, help="the public key that you trust, PEM")
    verify.add_argument("--documents", type=Path, help="the folder of documents; by default provenance/ beside it")
    given = parser.parse_args(arguments)
    try:
        print(_run(given), flush=True)
    except _REFUSALS as error:
        print(error, file=sys.stderr)
        return 1
    except FileNotFoundError as error:
        print(f"{error.filename} does not exist", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter flushes again at exit
        return 1
    except (IsADirectoryError, NotADirectoryError) as error:
        kind = "is a folder, expected a file" if isinstance(error, IsADirectoryError) else "is no folder"
        print(f"{error.filename} {kind}", file=sys.stderr)
        return 1
    return 0


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object, such as {{}}")
    return value


def _run(given: argparse.Namespace) -> str:
    if given.command == "inspect":
        return json.dumps(_inspected(given.file), indent=2)
    if given.command == "verify":
        folder: Path = given.documents or given.file.with_name(documents.FOLDER)
        return json.dumps(
            json.loads(documents.verified(given.file, folder, given.key.read_bytes()).to_json()), indent=2
        )
    root: Path = (given.root or _project()).resolve()
    outline.check(root)
    if given.command == "check":
        check_locks(root)
        return outline.listed(root)
    if given.command == "example":
        lines: list[str] = []
        step.run(root, "modelstack.pipeline.example", [], lines.append)
        return "\n".join(lines)
    wanted = recipe(root, given.parameters)
    if given.command == "recipe":
        return json.dumps({"digest": wanted.digest, **wanted.parts}, indent=2)
    sealed = build(root, wanted, given.gates, given.workdir, progress=lambda line: print(line, file=sys.stderr))
    found = {"recipe": sealed.recipe, "digest": sealed.digest, "manifest_sha256": sealed.manifest_sha256}
    told = documents.write(sealed, documents.key_at(given.key))
    places = {"path": str(sealed.path), "documents": str(told)}
    return json.dumps({**found, "metrics": dict(sealed.metrics), **places}, indent=2)


def _project() -> Path:
    """The project that the current folder is in, or else this folder, as the images that train have no Pulumi.yaml."""
    try:
        return project_root()
    except NoProject:
        return Path.cwd()


def _inspected(file: Path) -> dict[str, object]:
    sealed, manifest = describe(file), archive.verify(file).content
    found = {"digest": sealed.digest, "manifest_sha256": sealed.manifest_sha256, "metrics": sealed.metrics}
    told = json.loads(archive.read(file, "metrics.json"))
    return {**found, "fast_form": told["fast_form"], **manifest}


if __name__ == "__main__":
    sys.exit(main())
