"""A person's fitted estimator, read from its file and made ready to be written as source.

The pipeline gives an estimator a NumPy array, and wants the same outcome from each training. So columns that are given
by name become places, and each seed that is not set becomes 0.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn import exceptions
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from cli.errors import OperatorError
from cli.init.source import Unwritable

_MADE_OF = ("sklearn", "numpy", "scipy", "functools")
_BY_HAND = "docs/how-to/own-model.md shows how a model is written by hand."


@dataclass(frozen=True)
class Fitted:
    """A person's estimator.

    Attributes:
        estimator: The estimator, fitted as it was read or, once it is prepared, not.
        notes: What the person should know of it, a line each.
    """

    estimator: Any
    notes: tuple[str, ...] = ()


def read(path: Path) -> Fitted:
    """Unpickle an estimator; of a search, take the best one that it has found.

    Raises:
        OperatorError: The file holds no fitted classifier or regressor, or cannot be read here.
    """
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = _unpickled(path)
    kind = getattr(exceptions, "InconsistentVersionWarning", ())  # of scikit-learn, whose stubs do not know it
    older: Any = next((one.message for one in told if isinstance(one.message, kind)), None)
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
    return Fitted(found, tuple(notes))


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
    """What skops wrote, as MLflow does: it is made of named types, and those of these libraries alone are made."""
    from skops import io  # noqa: PLC0415 - of few files

    wanted = io.get_untrusted_types(file=path)
    if foreign := [one for one in wanted if one.partition(".")[0] not in _MADE_OF]:
        raise OperatorError(
            f"{path}: it needs {', '.join(foreign)}; expected types of {', '.join(_MADE_OF)} alone", _BY_HAND
        )
    return io.load(path, trusted=wanted)


def prepared(
    fitted: Any, columns: Sequence[str], texts: Collection[str] = (), gaps: Mapping[str, str] | None = None
) -> Fitted:
    """The estimator not fitted, for an array as the pipeline gives it, with every seed set.

    Args:
        fitted: A fitted estimator; it is not changed.
        columns: The names of the columns that it is given, in order.
        texts: Those of them that hold texts.
        gaps: Those of `texts` that lack values -> what is found there, in words.

    Returns:
        The estimator, and what was changed of it.

    Raises:
        Unwritable: Columns are given in a way that an array does not know.
    """
    blank = clone(fitted)
    preparing = _Preparing(frozenset(texts), gaps or {}, [])
    preparing.place(fitted, blank, list(columns))
    every = blank.get_params(deep=True)
    seeds = sorted(name for name in every if name.rpartition("__")[2] == "random_state" and every[name] is None)
    blank.set_params(**dict.fromkeys(seeds, 0))
    if seeds:
        preparing.notes.append(f"{', '.join(seeds)}: set to 0, so that each training has the same outcome")
    return Fitted(blank, tuple(preparing.notes))


@dataclass(frozen=True)
class _Preparing:
    """Replaces names of columns by places, in an estimator and all that it is made of.

    Attributes:
        texts: The columns that hold texts.
        gaps: Those of them that lack values -> what is found there.
        notes: What else was changed.
    """

    texts: frozenset[str]
    gaps: Mapping[str, str]
    notes: list[str]

    def place(self, fitted: Any, blank: Any, names: list[str] | None) -> None:
        """Change `blank`.

        Args:
            fitted: The estimator as it was fitted or, inside some others, as it was given.
            blank: A copy, which is changed.
            names: The columns that it is given; None after a step that makes others.
        """
        if isinstance(blank, ColumnTransformer):
            self._columns(fitted, blank, names)
            return
        if isinstance(blank, Pipeline):
            for (_, was), (_, step) in zip(fitted.steps, blank.steps, strict=True):
                if _is_estimator(step):
                    self.place(was, step, names)
                    names = None
            return
        _place_categories(fitted, blank, names)
        self._missing(blank, names)
        named = getattr(fitted, "named_estimators_", {})
        for key, value in blank.get_params(deep=False).items():
            seen = None if key == "final_estimator" else names
            if _is_estimator(value):
                self.place(getattr(fitted, f"{key}_", getattr(fitted, key)), value, seen)
            elif isinstance(value, list):
                for number, pair in enumerate(value):
                    if isinstance(pair, tuple) and len(pair) >= 2 and _is_estimator(pair[1]):
                        self.place(named.get(pair[0], getattr(fitted, key)[number][1]), pair[1], seen)

    def _columns(self, fitted: Any, blank: Any, names: list[str] | None) -> None:
        known = {name: (was, chosen) for name, was, chosen in getattr(fitted, "transformers_", fitted.transformers)}
        left = list(names or ())
        made: list[tuple[str, Any, Any]] = []
        for name, transformer, given in blank.transformers:
            was, chosen = known.get(name, (transformer, given))
            places = _places(chosen, names, f"ColumnTransformer, {name}")
            made.append((name, transformer, places))
            taken = None if names is None else np.array(names)[[places] if isinstance(places, int) else places].tolist()
            left = [one for one in left if one not in (taken or ())]
            if _is_estimator(transformer):
                self.place(was, transformer, taken)
        blank.transformers = made
        if _is_estimator(blank.remainder):
            was = known.get("remainder", (blank.remainder, None))[0]
            self.place(was, blank.remainder, None if names is None else left)

    def _missing(self, blank: Any, names: list[str] | None) -> None:
        """A missing text is NaN to pandas, and None to the pipeline. What looks for it is told so."""
        kind, words = type(blank).__name__, [one for one in names or () if one in self.texts]
        if not words or not hasattr(blank, "missing_values"):
            if words and kind == "OrdinalEncoder":
                self.notes.append(f"{kind} of {', '.join(words)}: a missing text gets a code of its own, as any other")
            return
        if not (isinstance(blank.missing_values, float) and np.isnan(blank.missing_values)):
            return
        if len(words) < len(names or ()):
            if lacking := next((one for one in words if one in self.gaps), None):
                raise Unwritable(
                    f"column {lacking!r}: {self.gaps[lacking]}, and one {kind} fills {', '.join(names or ())}; "
                    f"expected one for {lacking} and another for numbers, as what is missing is None to the pipeline "
                    "in the first, and NaN in numbers"
                )
            return
        blank.missing_values = None
        self.notes.append(f"{kind} of {', '.join(words)}: missing_values is None, as a missing text is to the pipeline")


def _places(chosen: Any, names: list[str] | None, where: str) -> Any:
    """Columns as an array knows them: a place, a list of places or of true and false, or a slice."""
    if callable(chosen):
        raise Unwritable(f"{where}: found a function that chooses columns, not yet called; expected names or places")
    if isinstance(chosen, slice):
        ends = (chosen.start, chosen.stop)
        if not any(isinstance(end, str) for end in ends):
            return chosen
        first, last = (None if end is None else _place_of(end, names, where) for end in ends)
        return slice(first, None if last is None else last + 1, chosen.step)
    if isinstance(chosen, str):
        return _place_of(chosen, names, where)
    if isinstance(chosen, int | np.integer):
        return int(chosen)
    return [_place_of(one, names, where) if isinstance(one, str) else one for one in np.asarray(chosen).tolist()]


def _place_of(name: str, names: list[str] | None, where: str) -> int:
    if names is None or name not in names:
        raise Unwritable(
            f"{where}: found the column {name!r} by name, after a step whose outcome is an array here; expected its "
            "place"
        )
    return names.index(name)


def _place_categories(fitted: Any, blank: Any, names: list[str] | None) -> None:
    """Gradient boosting takes columns by name too: those of categories, and those that may only rise or fall."""
    given, kind = blank.get_params(deep=False), type(blank).__name__
    categories = given.get("categorical_features")
    if isinstance(categories, str):  # from_dtype
        if getattr(fitted, "is_categorical_", None) is not None:
            raise Unwritable(
                f"{kind}, categorical_features: found categories by the dtype of a DataFrame, which an array has not; "
                "expected an OrdinalEncoder before it, and the places of its columns"
            )
    elif categories is not None:
        blank.categorical_features = _places(categories, names, f"{kind}, categorical_features")
    if isinstance(rising := given.get("monotonic_cst"), dict):
        places = {_place_of(name, names, f"{kind}, monotonic_cst"): way for name, way in rising.items()}
        blank.monotonic_cst = [places.get(place, 0) for place in range(len(names or ()))]


def _is_estimator(value: Any) -> bool:
    return hasattr(value, "get_params") and hasattr(value, "fit") and not isinstance(value, type)
