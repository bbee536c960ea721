#!/usr/bin/env python3
"""Moves the library into packages/modelstack and the local cloud into packages/localcloud, and rewrites what names them.

    python move.py      # in a clean checkout with the commit "Find the project ..." (pipeline/project.py)

Everything but EDITS is by rule. An edit whose text is not found is reported at the end, and the exit status is 1: main has
moved on, and the edit must be adapted. Imports, module names in texts, paths and link targets need no list.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import textwrap
import tokenize
import tomllib
from pathlib import Path

LIB = "packages/modelstack/src/modelstack"
SRC = "packages/modelstack/src"
TESTS = "packages/modelstack/tests"
MOVES = {
    "records": "records",  # first: the others go into it
    "audit": "records/audit",
    "provenance": "records/provenance",
    "tracking": "records/tracking",
    "monitoring": "monitoring",
    "retraining": "monitoring/retraining",
    "infra": "program",
    "cli": "cli",
    "pipeline": "pipeline",
    "platforms": "platforms",
    "policy": "policy",
    "rollout": "rollout",
    "services": "services",
    "serving": "serving",
}
STAY = ("policy/__main__.py", "policy/PulumiPolicy.yaml", "policy/exemptions.yaml")
STAYING_TESTS = ("test_data.py", "test_evaluation.py", "test_parameters.py", "test_serving.py", "test_training.py")
NEW = {old: f"modelstack.{new.replace('/', '.')}" for old, new in MOVES.items()}
NAMES = "|".join(sorted(MOVES, key=len, reverse=True))
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".jinja", ".in", ".sh", ".txt"}
SKIP = re.compile(r"^(CHANGELOG\.md|LICENSE|move\.py|.*/locks/.*|requirements/[\w-]+\.txt|.*/static/.*|.*\.html)$")

failed: list[str] = []


def git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout


# ---------------------------------------------------------------------------------------------------------------- rules

before = set(git("ls-files").split())  # the paths of the old layout
folders = {"/".join(path.split("/")[:n]) for path in before for n in range(1, path.count("/") + 1)}


def is_module(package: str, rest: str) -> bool:
    first = rest.split(".")[0]
    return f"{package}/{first}.py" in before or f"{package}/{first}" in folders or first == "__main__"


_DOTTED = re.compile(rf"(?<![\w./$:-])({NAMES})((?:\.[A-Za-z_]\w*)+)")
_DENIED = re.compile(r"rollout\.judge\.(metrics|min_requests|alpha|promote_when)\b|serving\.memory`|\"serving\.memory\"|retraining\.record\.held")


def dotted(text: str) -> str:
    """Module names such as platforms.aws.names, if there is such a module."""

    def new(match: re.Match[str]) -> str:
        package, rest = match[1], match[2][1:]
        if _DENIED.match(match.string, match.start()) or not is_module(package, rest):
            return match[0]
        return f"{NEW[package]}{match[2]}".replace("program.__main__", "program.main")

    return _DOTTED.sub(new, text)


def words(text: str) -> str:
    """A package alone: `python -m serving`, `from records import reason`, `import cli`."""
    text = re.sub(rf"(?<!\w)(-m )({NAMES})(?![\w.])", lambda m: m[1] + NEW[m[2]], text)
    text = re.sub(rf'("-m", ")({NAMES})(?=")', lambda m: m[1] + NEW[m[2]], text)
    text = re.sub(rf"(?<!\w)(from )({NAMES})( import )", lambda m: m[1] + NEW[m[2]] + m[3], text)
    return re.sub(r"(?<!\w)(-m )(policy\.page|infra\.config\.page)", lambda m: m[1] + dotted(m[2]), text)


_PATH = re.compile(rf"(?<![\w./$:<-])((?:\.\./)*)({NAMES}|tests|localcloud)/([\w./*-]*[\w*]|)(/?)")


def moved(path: str) -> str | None:
    """The new path of one of the old layout, from the root; None if it stays or is no path of it."""
    path = path.rstrip("/")
    if path == "infra/__main__.py":
        return f"{LIB}/program/main.py"
    if path in STAY or path in ("infra", "policy", "tests/model"):
        return None
    if path not in before and path not in folders:
        return None
    first, _, rest = path.partition("/")
    if first == "localcloud":
        return f"packages/{path}"
    if first == "tests":
        if rest.startswith("model/"):
            name = rest.removeprefix("model/")
            return None if name in STAYING_TESTS else f"{TESTS}/images/{name}"
        return f"{TESTS}/{rest}" if rest else TESTS
    return f"{LIB}/{MOVES[first]}/{rest}".rstrip("/") if first in MOVES else None


def paths(text: str, *, short: bool) -> str:
    """Paths of files of the old layout; `short`: in prose the library's are modelstack/..., below its sources."""

    def new(match: re.Match[str]) -> str:
        up, first, rest, slash = match[1], match[2], match[3], match[4]
        if not rest and first in MOVES:
            return match[0]  # a folder alone: a prefix of keys, or in one of the pages in EDITS
        found = moved(f"{first}/{rest}")
        if found is None:
            return match[0]
        if short and not up and found.startswith(LIB):
            found = found.removeprefix(f"{SRC}/")
        return f"{up}{found}{slash}"

    return _PATH.sub(new, text)


def python(text: str, file: str) -> str:
    """All rules, on a Python file of the new layout `file`."""
    plain = set(re.findall(rf"^[ \t]*import (({NAMES})\.[\w.]+)$", text, re.MULTILINE))
    text = re.sub(rf"^([ \t]*from )({NAMES})(?=[. ])", lambda m: m[1] + NEW[m[2]], text, flags=re.MULTILINE)
    text = text.replace("import infra.__main__ as", "import infra.main as")
    text = re.sub(rf"^([ \t]*import )({NAMES})(?=\.)", lambda m: m[1] + NEW[m[2]], text, flags=re.MULTILINE)
    text = re.sub(rf'("-m", ")({NAMES})(?=")', lambda m: m[1] + NEW[m[2]], text)
    out, last = [], 0
    lines = [0]
    for line in text.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    for at, token in enumerate(tokens):
        start, end = lines[token.start[0] - 1] + token.start[1], lines[token.end[0] - 1] + token.end[1]
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            of = tokens[at - 2].string if at > 1 and tokens[at - 1].string == "/" else ""
            by_root = of in ("ROOT", "SOURCES") or (of == "]" and "__file__" in token.line)
            new = of_root(token.string, tokens[at - 2].string) if by_root else prose(token.string)
        elif token.type == tokenize.NAME and token.string in MOVES and tokens[at - 1].string not in (".", "import", "from"):
            name = token.string
            for follow in tokens[at + 1 : at + 8 : 2]:
                if follow.string != ".":
                    break
                name += "." + tokens[tokens.index(follow, at) + 1].string
            used = any(name == one or name.startswith(f"{one}.") for one, _ in plain)
            new = NEW[token.string] if used else token.string
        else:
            continue
        out += [text[last:start], new]
        last = end
    text = "".join([*out, text[last:]])
    return deeper(text, file)


def prose(text: str) -> str:
    return paths(words(dotted(text)), short=True)


def of_root(text: str, of: str) -> str:
    """A text in `ROOT / "..."`."""
    inner = re.fullmatch(r'"([^"]*)"', text)
    if not inner:
        return text
    if of == "SOURCES":
        first, slash, rest = inner[1].partition("/")
        return f'"modelstack/{MOVES[first]}{slash}{rest}"' if first in MOVES else text
    if inner[1] == "tests":
        return f'"{TESTS}"'
    if inner[1] == "localcloud":
        return '"packages/localcloud"'
    first = inner[1].partition("/")[0]
    if inner[1] in MOVES and inner[1] not in ("infra", "policy"):
        return f'"{LIB}/{MOVES[inner[1]]}"'
    return f'"{found}"' if first and (found := moved(inner[1])) else text


old_of: dict[str, str] = {}  # new path -> old path


def deeper(text: str, file: str) -> str:
    """`Path(__file__).resolve().parents[n]` of the root: in tests of the root, in the library of the folder of sources."""
    old = old_of.get(file)
    if old is None:
        return text
    depth = old.count("/")
    target = file.count("/") if file.startswith(TESTS) else file.count("/") - SRC.count("/") - 1

    def new(match: re.Match[str]) -> str:
        number = int(match[2])
        return f"{match[1]}[{target}]" if number == depth else match[0]

    text = re.sub(r"(Path\(__file__\)(?:\.resolve\(\))?\.parents)\[(\d+)\]", new, text)
    if depth == 1:
        text = re.sub(r"(Path\(__file__\)\.resolve\(\))\.parent\.parent\b", rf"\1.parents[{target}]", text)
    return text


def other(text: str, file: str) -> str:
    text = words(dotted(text))
    if file.endswith(".md"):
        text = re.sub(r"\]\(([^)]*)\)", lambda m: f"]({link(m[1], file)})", text)
        return paths(text, short=True)
    return paths(text, short=False)


def link(target: str, file: str) -> str:
    """A link's target, relative to the page, in the new layout; the page may have moved too."""
    place, hash_, anchor = target.partition("#")
    if not place or "://" in place:
        return target
    page = old_of.get(file, file)
    parts: list[str] = page.split("/")[:-1]
    for part in place.split("/"):
        parts = parts[:-1] if part == ".." else [*parts, *([part] if part != "." else [])]
    old = "/".join(parts)
    new, here = moved(old) or old, file.split("/")[:-1]
    there = new.split("/")
    while here and there and here[0] == there[0]:
        here, there = here[1:], there[1:]
    return "/".join([".."] * len(here) + there) + hash_ + anchor


# --------------------------------------------------------------------------------------------------------- line lengths


def wrapped(text: str) -> str:
    """Docstrings and comments of whole lines that got a line over 120 characters, filled anew; all else stays."""
    lines = text.split("\n")
    spans: list[tuple[int, int, bool]] = []
    before_it = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        begins = before_it in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL)
        if token.type == tokenize.STRING and begins and token.string.startswith('"""'):
            spans.append((token.start[0] - 1, token.end[0] - 1, True))
        elif token.type == tokenize.COMMENT and token.line.lstrip().startswith("# "):
            spans.append((token.start[0] - 1, token.start[0] - 1, False))
        if token.type != tokenize.COMMENT:
            before_it = token.type
    for first, last, docstring in reversed(spans):
        for at in range(last, first - 1, -1):
            if len(lines[at]) > 120:
                fill(lines, at, first, last, docstring=docstring)
    return "\n".join(lines)


def fill(lines: list[str], at: int, first: int, last: int, *, docstring: bool) -> None:
    """Fill the paragraph of a line anew, within its docstring."""
    indent = re.match(r" *", lines[at])[0]
    how = {"width": 120, "break_long_words": False, "break_on_hyphens": False}
    if not docstring:
        lines[at : at + 1] = textwrap.wrap(lines[at].strip().removeprefix("# "), initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", **how)
    elif first == last:
        how["width"] = 110  # else the formatter puts the closing quotes back
        body = textwrap.wrap(lines[at].strip().removesuffix('"""'), initial_indent=indent, subsequent_indent=indent, **how)
        lines[at : at + 1] = [*body, f'{indent}"""']
    else:
        end = at
        while end < last and lines[end + 1].startswith(indent) and re.match(r"[^\s\-|*]", lines[end + 1][len(indent) :]) and not lines[end + 1].strip().startswith('"""'):
            end += 1
        words_ = " ".join(item.strip() for item in lines[at : end + 1])
        lines[at : end + 1] = textwrap.wrap(words_, initial_indent=indent, subsequent_indent=indent, **how)


# ---------------------------------------------------------------------------------------------------------------- edits

EDITS: dict[str, list[tuple[str, str]]] = {}


def edit(file: str, *pairs: tuple[str, str]) -> None:
    EDITS.setdefault(file, []).extend(pairs)


exec(Path(__file__).with_name("edits.py").read_text() if Path(__file__).with_name("edits.py").exists() else "")


# ----------------------------------------------------------------------------------------------------------------- main


def move_files() -> None:
    for old, new in [*MOVES.items(), ("tests", None), ("localcloud", None)]:
        for path in sorted(one for one in before if one.startswith(f"{old}/")):
            if path in STAY:
                continue
            to = moved(path)
            if to is None:
                continue
            Path(to).parent.mkdir(parents=True, exist_ok=True)
            old_of[to] = path
    pairs = sorted((old, new) for new, old in old_of.items())
    for old, new in pairs:
        Path(old).rename(new)
    git("add", "-A", "packages")
    for folder in (*MOVES, "tests", "localcloud"):
        for path in sorted(Path(folder).rglob("*"), key=lambda one: -len(one.parts)):
            if path.name == "__pycache__":
                shutil.rmtree(path)
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        if Path(folder).is_dir() and not any(Path(folder).iterdir()):
            Path(folder).rmdir()
    git("add", "-A")


def rewrite() -> None:
    for file in git("ls-files").split():
        path = Path(file)
        if SKIP.match(file) or path.is_symlink() or file.startswith("packages/localcloud/"):
            continue
        if path.suffix not in TEXT and path.name not in ("Makefile", "Dockerfile") and not file.startswith(".ci/"):
            continue
        text = path.read_text()
        is_python = path.suffix == ".py" or text.startswith("#!/usr/bin/env python3")
        new = python(text, file) if is_python else other(text, file)
        if new != text:
            path.write_text(new)


def apply_edits() -> None:
    for file, pairs in EDITS.items():
        path = Path(file)
        text = path.read_text() if path.exists() else None
        if text is None:
            failed.append(f"{file}: there is no such file")
            continue
        for old, new in pairs:
            if old not in text:
                failed.append(f"{file}: not found: {old[:110]!r}")
                continue
            text = text.replace(old, new)
        path.write_text(text)


def budgets() -> None:
    """Rows of folders that were merged have the sum of their numbers, and their reasons."""
    into = {"audit": "records", "provenance": "records", "tracking": "records", "retraining": "monitoring", "infra": "program"}
    out, rows, kind = [], {}, ""

    def flush() -> None:
        out.extend(f'"{name}" = {number}' + (f"  # {'; '.join(reasons)}" if reasons else "") for name, (number, reasons) in rows.items())
        rows.clear()

    for line in Path("budgets.toml").read_text().splitlines():
        row = re.fullmatch(r'"([^"]+)" = (\d+)(?:  # (.*))?', line)
        if row and kind in ("[source]", "[tests]"):
            name = into.get(row[1], row[1]) if kind == "[source]" else row[1]
            name = " + ".join(re.sub(r"^infra(?=/)", "program", one) for one in name.split(" + "))
            number, reasons = rows.get(name, (0, []))
            rows[name] = (number + int(row[2]), [*reasons, *([row[3]] if row[3] and row[3] not in reasons else [])])
            continue
        if not line.strip() or line.startswith("["):
            flush()
        if line.startswith("["):
            kind = line
        out.append(line)
        if line == "[source]":
            rows["infra"] = (40, [])
            rows["modelstack"] = (10, [])
        if line == "[tests]":
            rows["images"] = (430, [])
    flush()
    Path("budgets.toml").write_text("\n".join(out) + "\n")


def raise_budgets() -> None:
    """Give each folder the lines that it now has: names of modules are longer, so more imports are broken into lines."""
    said = subprocess.run([sys.executable, "-m", "bench.timings", "--check"], capture_output=True, text=True, check=False)
    over = re.findall(r"^(.+): ([\d,]+) lines of (source|tests), budget", said.stderr, re.MULTILINE)
    wanted = {(f"[{kind}]", name): int(number.replace(",", "")) for name, number, kind in over}
    out, kind = [], ""
    for line in Path("budgets.toml").read_text().splitlines():
        kind = line if line.startswith("[") else kind
        row = re.fullmatch(r'"([^"]+)" = (\d+)(?:  # (.*))?', line)
        if row and (most := wanted.get((kind, row[1]))):
            line = f'"{row[1]}" = {most}  # ' + "; ".join(filter(None, [row[3], "longer names of modules"]))
        out.append(line)
    Path("budgets.toml").write_text("\n".join(out) + "\n")


def main() -> int:
    if not Path("pipeline/project.py").exists():
        sys.exit("error: main lacks pipeline/project.py; land the commit that finds the project first")
    move_files()
    rewrite()
    for file, content in FILES.items():
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(content)
    budgets()
    apply_edits()
    git("add", "-A")
    subprocess.run([sys.executable, "-m", "ruff", "check", "--quiet", "--fix", "--select", "I,F401", "."], check=False)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", "."], check=False)
    for file in git("ls-files", "--cached", "--others", "--exclude-standard", "*.py").split():
        path = Path(file)
        if file.startswith("packages/localcloud") or not path.exists() or file == "move.py":
            continue
        text = path.read_text()
        if any(len(line) > 120 for line in text.split("\n")):
            path.write_text(wrapped(text))
    git("add", "-A")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", "."], check=False)
    git("add", "-A")
    raise_budgets()
    git("add", "-A")
    for message in failed:
        print(message, file=sys.stderr)
    return 1 if failed else 0




if __name__ == "__main__":
    sys.exit(main())
