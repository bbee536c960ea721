"""Does `model/` keep its contract, as far as reading its files tells?

    broken(root)     # [] or a line for each problem: the file, what was found, and what is expected

Nothing of the model is run, so that every `pulumi preview` can afford it.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.contract import MODULES, OPTIONAL, ContractBroken
from pipeline.gate import GateError, reported

KEPT = ("Dockerfile", "entrypoint.py")
MAY_BE_FOLDERS = ("data", "training", "serving")


def check(root: Path) -> None:
    """Refuse a model that does not keep the contract.

    Raises:
        ContractBroken: There are problems; see `broken`.
    """
    if problems := broken(root):
        raise ContractBroken(problems)


def broken(root: Path) -> list[str]:
    """Say what the model in `root/model` lacks: the file, what was found, and what is expected."""
    folder = root / "model"
    if not folder.is_dir():
        return [f"{folder}: there is no such folder"]
    problems = [
        f"model/{name}: not found; keep the one of this repository" for name in KEPT if not (folder / name).is_file()
    ]
    for name, protocol in MODULES.items():
        problems += _wrong_module(folder, name, protocol, OPTIONAL.get(name))
    if not any(line.startswith("model/evaluation") for line in problems):
        try:
            reported(root)
        except GateError as error:
            problems.append(str(error))
    return problems + _wrong_answer(folder / "answer.json")


def _wrong_answer(path: Path) -> list[str]:
    """The form of answers is optional; what it means is for those who join labels."""
    try:
        json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except ValueError as error:
        return [f"model/{path.name}: found no JSON ({error}); expected what docs/reference/model.md shows"]
    return []


def _wrong_module(folder: Path, name: str, protocol: type, optional: type | None) -> list[str]:
    path = folder / f"{name}.py"
    if not path.is_file() and name in MAY_BE_FOLDERS:
        path = folder / name / "__init__.py"
    where = f"model/{path.relative_to(folder)}" if path.is_file() else f"model/{name}.py"
    wanted = _wanted(protocol)
    try:
        found = _bound(ast.parse(path.read_bytes()).body)
    except OSError:
        return [f"{where}: not found; expected a file with {', '.join(_shown(*item) for item in wanted.items())}"]
    except (SyntaxError, ValueError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return [f"{where}: found no Python{line} ({getattr(error, 'msg', error)})"]
    if "*" in found:
        return []  # what a star brings in, only a run would tell
    problems = [
        f"{where}: found no {item}; expected {_shown(item, asked)}"
        for item, asked in wanted.items()
        if item not in found
    ]
    for item, asked in {**wanted, **(_wanted(optional) if optional else {})}.items():
        given = found.get(item)
        if asked is not None and given is not None and (text := _misfit(given, len(asked))):
            problems.append(f"{where}: {item} {text}; expected {_shown(item, asked)}")
    return problems


def _wanted(protocol: type) -> dict[str, list[str] | None]:
    """Name -> the parameters of a function, or None for anything else."""
    functions = {
        name: list(inspect.signature(value.__func__).parameters)
        for name, value in vars(protocol).items()
        if isinstance(value, staticmethod)
    }
    return {**dict.fromkeys(inspect.get_annotations(protocol)), **functions}


def _shown(name: str, asked: list[str] | None) -> str:
    return name if asked is None else f"{name}({', '.join(asked)})"


def _bound(body: Sequence[ast.stmt]) -> dict[str, ast.stmt]:
    """What the statements of a module bind: name -> the last statement that does."""
    found: dict[str, ast.stmt] = {}
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = statement
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {(item.asname or item.name).partition(".")[0]: statement for item in names}
            case ast.Assign(targets=targets):
                found |= dict.fromkeys(_names(targets), statement)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                found[name] = statement
            case ast.If() | ast.Try() | ast.With():
                inner = [*statement.body, *getattr(statement, "orelse", []), *getattr(statement, "finalbody", [])]
                found |= _bound(inner)
            case _:
                pass
    return found


def _names(targets: Sequence[ast.expr]) -> list[str]:
    return [item.id for target in targets for item in ast.walk(target) if isinstance(item, ast.Name)]


def _misfit(given: ast.stmt, asked: int) -> str:
    """Why a definition cannot be called with so many values in order; empty when it can, or when only a run tells."""
    if isinstance(given, ast.AsyncFunctionDef):
        return "is found async"
    if not isinstance(given, ast.FunctionDef):
        return ""
    parameters = given.args
    most = len(parameters.posonlyargs) + len(parameters.args)
    least = most - len(parameters.defaults)
    named = [item.arg for item, value in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True) if not value]
    if named:
        return f"is found to need {', '.join(named)} by name"
    if least <= asked and (asked <= most or parameters.vararg):
        return ""
    return f"is found to take {most if least == most else f'{least} to {most}'} values"
