"""Static check of `model/` against its contract. It does not run the model, so every `pulumi preview` can afford it."""

from __future__ import annotations

import ast
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from modelstack.pipeline.contract import PARTS, ContractBroken, Part
from modelstack.pipeline.forms import table
from modelstack.pipeline.gate import GateError, reported

FAST_FORM = (
    "Beside these, a build makes a fast form of a scikit-learn estimator, which serves without scikit-learn. If there "
    "is none, the build says why, and so does `python -m modelstack.pipeline inspect FILE`."
)
MAY_BE_FOLDERS = ("data", "training", "serving")
Found = Mapping[str, Mapping[str, ast.stmt] | None]
"""File -> its definitions; None for a file whose names only a run would tell."""


def check(root: Path) -> None:
    """Raise ContractBroken if the model has problems; see `broken`."""
    if problems := broken(root):
        raise ContractBroken(problems)


def broken(root: Path) -> list[str]:
    """Problems of the model in `root/model`: the file, what was found, and what is expected."""
    folder = root / "model"
    if not folder.is_dir():
        return [f"{folder}: there is no such folder"]
    found, unread = _read(folder)
    problems = [*unread.values()]
    for part in PARTS:
        problems += _wrong(part, found, unread=part.file in unread)
    if not unread:
        problems += _apart(found)
    if has(found, "evaluation.py", "METRICS"):
        try:
            reported(root)
        except GateError as error:
            problems.append(str(error))
    return problems


def listed(root: Path) -> str:
    """Every part of the contract in a table: whether the model has it, and its purpose."""
    found, _ = _read(root / "model")
    rows = [(part.file, part.shown, "yes" if has(found, part.file, part.name) else "-", part.buys) for part in PARTS]
    required = sum(not part.optional for part in PARTS)
    lines = table([("file", "part", "there", "what it buys"), *rows])
    parts = ["required", *lines[: required + 1], "", "optional", *lines[required + 1 :]]
    return "\n".join([*parts, "", *textwrap.wrap(FAST_FORM, 110)])


def has(found: Found, file: str, name: str = "") -> bool:
    """Whether a file exists and, as far as static analysis tells, defines a name."""
    defined = found.get(file, {})
    return file in found and (not name or defined is None or name in defined)


def own_server(root: Path) -> bool:
    """Whether the model brings its own server."""
    return has(_read(root / "model")[0], "serving.py", "main")


def loads_itself(root: Path) -> bool:
    """Whether the model's own code loads what serves."""
    found, _ = _read(root / "model")
    return has(found, "serving.py", "main") or has(found, "training.py", "save")


def unreadable(root: Path) -> Mapping[str, str]:
    """The unreadable files of the contract: name -> message."""
    return _read(root / "model")[1]


def _read(folder: Path) -> tuple[Found, dict[str, str]]:
    """The definitions of each file of the contract, and a message for each that cannot be read."""
    found: dict[str, Mapping[str, ast.stmt] | None] = {}
    problems: dict[str, str] = {}
    for file in dict.fromkeys(part.file for part in PARTS):
        stem, _, kind = file.rpartition(".")
        path = folder / file
        if not path.is_file() and stem in MAY_BE_FOLDERS:
            path = folder / stem / "__init__.py"
        if not path.is_file():
            continue
        try:
            if kind == "onnx":
                found[file] = {}
            elif kind == "json":
                json.loads(path.read_bytes())
                found[file] = {}
            else:
                bound = _bound(ast.parse(path.read_bytes()).body)
                found[file] = None if "*" in bound else bound
        except (SyntaxError, ValueError) as error:
            known = isinstance(error, SyntaxError | json.JSONDecodeError)
            line = f" in line {error.lineno}" if known else ""
            what = "JSON" if kind == "json" else "Python"
            problems[file] = f"model/{file}: found no {what}{line} ({getattr(error, 'msg', error)})"
    return found, problems


def _wrong(part: Part, found: Found, *, unread: bool) -> Iterator[str]:
    if unread or ("model.onnx" in found and part.file in ("data.py", "training.py") and part.file not in found):
        return
    if not has(found, part.file, part.name):
        if not part.optional and part.file not in found:
            yield f"model/{part.file}: not found; expected a file{f' with {part.shown}' if part.name else ''}"
        elif not part.optional:
            yield f"model/{part.file}: found no {part.name}; expected {part.shown}"
        return
    given = (found[part.file] or {}).get(part.name)
    if part.takes is not None and given is not None and (text := _misfit(given, len(part.takes))):
        yield f"model/{part.file}: {part.name} {text}; expected {part.shown}"


def _apart(found: Found) -> Iterator[str]:
    """Parts that need each other, of which one is missing."""

    def there(file: str, name: str = "") -> bool:
        return has(found, file, name)

    for file, one, other in (
        ("evaluation.py", "evaluate", "METRICS"),
        ("evaluation.py", "METRICS", "evaluate"),
        ("training.py", "save", "load"),
        ("training.py", "load", "save"),
    ):
        if there(file, one) and not there(file, other):
            yield f"model/{file}: found no {other}; expected {_shown(file, other)}, as it has {one}"
    main, predict = there("serving.py", "main"), there("serving.py", "predict")
    if there("training.py", "save") and not main and not there("serving.py", "load"):
        yield (
            f"model/serving.py: found no load; expected {_shown('serving.py', 'load')}, as model/training.py has a "
            "save of its own"
        )
    if predict and not there("answer.json"):
        yield f"model/answer.json: not found; {_shown('serving.py', 'predict')} in model/serving.py needs it"
    if there("model.onnx") and not there("data.py") and not there("features.py", "FEATURES"):
        yield "model/features.py: found no FEATURES; expected one for each input of model/model.onnx"
    if there("answer.json") and not predict and not there("model.onnx"):
        expected = _shown("serving.py", "predict")
        yield f"model/serving.py: found no predict; expected {expected}, as there is an answer.json"
    if main and not predict and not there("evaluation.py", "evaluate"):
        yield (
            f"model/serving.py: found no predict; expected {_shown('serving.py', 'predict')}, or "
            f"{_shown('evaluation.py', 'evaluate')} in model/evaluation.py"
        )


def _shown(file: str, name: str) -> str:
    return next(part.shown for part in PARTS if (part.file, part.name) == (file, name))


def _bound(body: Sequence[ast.stmt]) -> dict[str, ast.stmt]:
    """The names that a module's statements bind -> the last statement that does."""
    found: dict[str, ast.stmt] = {}
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = statement
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {(item.asname or item.name).partition(".")[0]: statement for item in names}
            case ast.Assign(targets=targets):
                each = (item for target in targets for item in ast.walk(target) if isinstance(item, ast.Name))
                found |= dict.fromkeys((item.id for item in each), statement)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                found[name] = statement
            case ast.If() | ast.Try() | ast.With():
                inner = [*statement.body, *getattr(statement, "orelse", []), *getattr(statement, "finalbody", [])]
                found |= _bound(inner)
            case _:
                pass
    return found


def _misfit(given: ast.stmt, asked: int) -> str:
    """Why a definition does not accept so many positional arguments; empty if it does, or if only a run tells."""
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
