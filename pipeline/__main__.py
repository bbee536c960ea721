"""Look inside: `python -m pipeline check | recipe | build | inspect FILE`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pipeline import archive, outline
from pipeline.build import BuildError, build
from pipeline.contract import ContractBroken
from pipeline.gate import GateError, GateRefused
from pipeline.pack import describe
from pipeline.recipe import RecipeError, recipe
from pipeline.step import StepFailed

_REFUSALS = (archive.ArchiveError, BuildError, ContractBroken, GateError, GateRefused, RecipeError, StepFailed)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; status 1 says that something was refused, with the reason on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline", description="What determines a model, and what is in it."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("check", "say what model/ lacks, as far as reading tells"),
        ("recipe", "print the recipe"),
        ("build", "train, evaluate, gate and seal"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument(
            "--root", type=Path, default=Path.cwd(), help="the checkout; the current folder by default"
        )
        if name != "check":
            command.add_argument("--parameters", type=json.loads, default={}, help="JSON object")
        if name == "build":
            command.add_argument("--gates", type=json.loads, default={}, help='JSON, such as {"auc": {"min": 0.6}}')
            command.add_argument("--workdir", type=Path, help="where outcomes are kept; by default the user's cache")
    inspect = commands.add_parser("inspect", help="check an archive and print its manifest")
    inspect.add_argument("file", type=Path)
    given = parser.parse_args(arguments)
    try:
        print(json.dumps(_run(given), indent=2))
    except _REFUSALS as error:
        print(error, file=sys.stderr)
        return 1
    except FileNotFoundError as error:
        print(f"{error.filename} does not exist", file=sys.stderr)
        return 1
    return 0


def _run(given: argparse.Namespace) -> dict[str, object]:
    if given.command == "inspect":
        sealed, manifest = describe(given.file), archive.verify(given.file).content
        return {
            "digest": sealed.digest,
            "manifest_sha256": sealed.manifest_sha256,
            "metrics": sealed.metrics,
            **manifest,
        }
    root: Path = given.root.resolve()
    outline.check(root)
    if given.command == "check":
        return {"model": str(root / "model"), "problems": []}
    wanted = recipe(root, given.parameters)
    if given.command == "recipe":
        return {"digest": wanted.digest, **wanted.parts}
    sealed = build(root, wanted, None, given.gates, given.workdir, progress=lambda line: print(line, file=sys.stderr))
    return {
        "recipe": sealed.recipe,
        "digest": sealed.digest,
        "manifest_sha256": sealed.manifest_sha256,
        "metrics": dict(sealed.metrics),
        "path": str(sealed.path),
    }


if __name__ == "__main__":
    sys.exit(main())
