"""A fitted estimator, read from its file, and its unfitted clone, which each training starts from."""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from sklearn import exceptions
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.utils.validation import check_is_fitted

from modelstack.cli.errors import OperatorError

_TRUSTED = ("sklearn", "numpy", "scipy", "functools")
_BY_HAND = "docs/how-to/own-model.md shows how a model is written by hand."


@dataclass(frozen=True)
class Blank:
    """The pickle of an unfitted estimator with every seed set, the modules it needs, and texts for the person."""

    content: bytes
    libraries: tuple[str, ...]
    description: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """The digest of its pickle."""
        return hashlib.sha256(self.content).hexdigest()


def read(path: Path) -> tuple[Any, list[str]]:
    """Unpickle a classifier or regressor, or the best one of a search, with notes for the person."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = _unpickled(path)
    kind = getattr(exceptions, "InconsistentVersionWarning", ())  # of scikit-learn, whose stubs do not know it
    older: Any = next((one.message for one in caught if isinstance(one.message, kind)), None)
    if older is not None:
        made, here = older.original_sklearn_version, older.current_sklearn_version
        notes.append(f"{path.name} was made with scikit-learn {made}; what is built is fitted with {here}")
    if hasattr(found, "best_estimator_"):
        notes.append(
            f"{path.name} holds a {type(found).__name__}: its best_estimator_ is taken, and the search is not repeated"
        )
        found = found.best_estimator_
    if not hasattr(found, "__sklearn_tags__") or not (is_classifier(found) or is_regressor(found)):
        raise OperatorError(
            f"{path}: found a {type(found).__name__}; expected a fitted classifier or regressor of scikit-learn, or a "
            "Pipeline or a search (with refit) that ends in one",
            _BY_HAND,
        )
    try:
        check_is_fitted(found)
    except exceptions.NotFittedError:
        raise OperatorError(
            f"{path}: found a {type(found).__name__} that is not fitted; expected a fitted one",
            "Fit it on the table, and save it again by joblib.dump.",
        ) from None
    return found, notes


def _unpickled(path: Path) -> Any:
    try:
        return _of_skops(path) if path.suffix == ".skops" else joblib.load(path)
    except OperatorError:
        raise
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror or error}") from error
    except ModuleNotFoundError as error:
        raise OperatorError(
            f"{path}: it needs the module {error.name}, which is not installed here",
            "A library: add it to requirements/app.in, and run `make lock` and `make setup`. Code of your own: "
            f"{_BY_HAND}",
        ) from error
    except AttributeError as error:
        raise OperatorError(
            f"{path}: it needs code that is not here ({error}); expected parts of installed libraries alone", _BY_HAND
        ) from error
    except Exception as error:  # a pickle may raise whatever its classes do
        raise OperatorError(
            f"{path} cannot be read ({type(error).__name__}: {error}); expected what joblib.dump, pickle.dump or "
            "skops.io.dump wrote"
        ) from error


def _of_skops(path: Path) -> Any:
    """Read a skops file, as MLflow writes it. It lists its types, and only those of trusted libraries are loaded."""
    from skops import io as skops  # noqa: PLC0415 - few files need it

    types = skops.get_untrusted_types(file=path)
    if foreign := [one for one in types if one.partition(".")[0] not in _TRUSTED]:
        raise OperatorError(
            f"{path}: it needs {', '.join(foreign)}; expected types of {', '.join(_TRUSTED)} alone", _BY_HAND
        )
    return skops.load(path, trusted=types)


def blank(path: Path, fitted: Any) -> Blank:
    """Clone an estimator without its fit. Raises OperatorError if a part cannot be pickled, such as a lambda."""
    made = clone(fitted)
    parameters = made.get_params(deep=True)
    seeds = sorted(
        name for name in parameters if name.rpartition("__")[2] == "random_state" and parameters[name] is None
    )
    made.set_params(**dict.fromkeys(seeds, 0))
    notes = [f"{', '.join(seeds)}: set to 0, so that each training has the same outcome"] if seeds else []
    try:
        content = pickle.dumps(made)
    except Exception as error:  # a part of it may raise anything
        raise OperatorError(
            f"{path}: a part of it cannot be stored ({error}); expected parts of installed libraries alone", _BY_HAND
        ) from None
    return Blank(content, _libraries(content), tuple(str(made).splitlines()), tuple(notes))


def _libraries(content: bytes) -> tuple[str, ...]:
    found: set[str] = set()

    class Recording(pickle.Unpickler):
        def find_class(self, module_name: str, global_name: str, /) -> Any:
            found.add(module_name.partition(".")[0])
            return super().find_class(module_name, global_name)

    Recording(io.BytesIO(content)).load()  # it was just pickled here
    return tuple(sorted(found - sys.stdlib_module_names))
