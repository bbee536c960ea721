"""What a project tells the local cloud, in `localcloud.toml` or in the table `tool.localcloud` of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.server.platform import ImageCommand

_KEYS = {"region", "account", "image", "time_scale"}
_PYPROJECT = "pyproject.toml"
MOST_SCALE = 10_000
"""The largest time scale."""

_IMAGE_KEYS = {"repository", "command", "environment", "train", "process", "path"}


class ConfigurationError(Exception):
    """A configuration file that cannot be used; the text names the file, the key and what was expected."""


@dataclass(frozen=True)
class Configuration:
    """A project's wishes.

    Attributes:
        region: Region of every resource.
        account: Account of every resource, 12 digits.
        images: How images run as processes, first match wins.
        time_scale: What documented waits are divided by.
    """

    region: str = "us-east-1"
    account: str = "000000000000"
    images: tuple[ImageCommand, ...] = ()
    time_scale: float = 1.0


def of_project(root: Path) -> Path | None:
    """The file of a project: its localcloud.toml, or else its pyproject.toml; None without either."""
    return next((path for name in ("localcloud.toml", _PYPROJECT) if (path := root / name).exists()), None)


def load(path: Path | None) -> Configuration:
    """Read a configuration file; None gives the defaults. Of a pyproject.toml the table `tool.localcloud` counts.

    Raises:
        ConfigurationError: The file is missing, is not TOML, or holds a key or value that is not allowed.
    """
    if path is None:
        return Configuration()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from error
    if path.name == _PYPROJECT:
        document = document.get("tool", {}).get("localcloud", {})
        document.pop("name", None)  # of the state folder, see `localcloud.setup.places`
    _only(path, "", document, _KEYS)
    defaults = Configuration()
    return Configuration(
        region=_matching(path, document, "region", r"[a-z]{2}(-[a-z]+)+-\d", "a region such as us-east-1")
        or defaults.region,
        account=_matching(path, document, "account", r"\d{12}", "a string of 12 digits") or defaults.account,
        images=tuple(
            _image(path, number, entry) for number, entry in enumerate(_tables(path, document.get("image", [])))
        ),
        time_scale=_scale(path, document.get("time_scale", defaults.time_scale)),
    )


def _scale(path: Path, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= MOST_SCALE:
        raise ConfigurationError(f"{path}: time_scale is {value!r}, expected a number from 1 to {MOST_SCALE}")
    return float(value)


def _image(path: Path, number: int, entry: Mapping[str, Any]) -> ImageCommand:
    where = f"image[{number}]."
    _only(path, where, entry, _IMAGE_KEYS)
    repository, command, environment = entry.get("repository"), entry.get("command"), entry.get("environment", {})
    if not isinstance(repository, str) or not repository:
        raise ConfigurationError(f"{path}: {where}repository is {repository!r}, expected a glob such as '*-serving'")
    if not isinstance(environment, dict) or not all(isinstance(value, str) for value in environment.values()):
        raise ConfigurationError(f"{path}: {where}environment is {environment!r}, expected strings by name")
    return ImageCommand(
        repository,
        _program(path, f"{where}command", command),
        path.resolve().parent,
        environment,
        train=_program(path, f"{where}train", entry["train"]) if "train" in entry else (),
        process=_program(path, f"{where}process", entry["process"]) if "process" in entry else (),
        path=_folders(path, f"{where}path", entry.get("path", [])),
    )


def _program(path: Path, key: str, command: object) -> tuple[str, ...]:
    if not isinstance(command, list) or not command or not all(isinstance(word, str) and word for word in command):
        raise ConfigurationError(f"{path}: {key} is {command!r}, expected a program and its arguments")
    program = command[0] if "/" not in command[0] else str(path.resolve().parent / command[0])
    return (program, *command[1:])


def _folders(path: Path, key: str, folders: object) -> tuple[str, ...]:
    if not isinstance(folders, list) or not all(isinstance(folder, str) and folder for folder in folders):
        raise ConfigurationError(f"{path}: {key} is {folders!r}, expected a list of folders")
    return tuple(str(path.resolve().parent / folder) for folder in folders)


def _tables(path: Path, value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ConfigurationError(f"{path}: image is {value!r}, expected [[image]] tables")
    return value


def _only(path: Path, where: str, table: Mapping[str, Any], allowed: set[str]) -> None:
    unknown = sorted(set(table) - allowed)
    if unknown:
        raise ConfigurationError(f"{path}: unknown key {where}{unknown[0]}; allowed: {', '.join(sorted(allowed))}")


def _matching(path: Path, table: Mapping[str, Any], key: str, pattern: str, expected: str) -> str | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise ConfigurationError(f"{path}: {key} is {value!r}, expected {expected}")
    return value
