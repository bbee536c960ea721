"""Exact counts of each text in a long list, over the bytes of all of them at once.

A dictionary waits for the memory of each text. Joined, texts of up to eight bytes are 64-bit numbers, which are counted
by a hash of all at once; on collisions they are sorted. Longer texts, or texts with the separator, use a dictionary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

_SEPARATOR, _WIDE = "\0", 8
_BITS, _MANY = 16, 4096  # with fewer words, sorting is faster than filling the table
_GOLDEN, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(64 - _BITS)
_FIRST_BYTES = np.array([(1 << 8 * size) - 1 for size in range(_WIDE + 1)], dtype=np.uint64)


def counted(values: Sequence[str | None]) -> dict[str | None, int]:
    """The number of each text, and of None; raises TypeError for any other value."""
    try:
        known, text = cast(Sequence[str], values), _SEPARATOR.join(cast(Sequence[str], values))
    except TypeError:
        known = [value for value in values if value is not None]
        text = _SEPARATOR.join(known)
    found = _by_words(text, len(known)) if known else {}
    counts = dict[str | None, int]((Counter(known) if found is None else found).items())
    if len(known) < len(values):
        counts[None] = len(values) - len(known)
    return counts


def _by_words(text: str, texts: int) -> dict[str, int] | None:
    """Count as words of eight bytes; None if a text is longer or contains the separator."""
    encoded = text.encode("utf-8", "surrogatepass")
    raw = np.frombuffer(encoded + bytes(_WIDE + 1), dtype=np.uint8)
    ends = raw[: len(encoded) + 1] == 0
    if np.count_nonzero(ends) != texts:
        return None
    at_every_byte: NDArray[np.uint64] = np.ndarray((len(ends),), "<u8", raw, strides=(1,))
    each, left = divmod(len(ends), texts)
    if not left and ends[each - 1 :: each].all():  # equal lengths, as codes mostly have
        starts, sizes = slice(None, None, each), np.array([each - 1])
    else:
        places = np.flatnonzero(ends)
        starts = np.concatenate(([0], places[:-1] + 1))
        sizes = places - starts
    if sizes.max() > _WIDE:
        return None
    words, counts = _distinct(at_every_byte[starts] & _FIRST_BYTES[sizes])
    return {
        int(word).to_bytes(_WIDE, "little").rstrip(b"\0").decode("utf-8", "surrogatepass"): count
        for word, count in zip(words.tolist(), counts.tolist(), strict=True)
    }


def _distinct(words: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The distinct words and their counts. No word was lost if no two share a hash.

    The hash is the upper bits of the product with 2**64 over the golden ratio (Knuth, TAOCP 3, 6.4).
    """
    if len(words) < _MANY:
        return np.unique(words, return_counts=True)
    places = (words * _GOLDEN >> _SHIFT).astype(np.int64)
    kept = np.zeros(1 << _BITS, dtype=np.uint64)
    kept[places] = words
    if not np.array_equal(kept[places], words):
        return np.unique(words, return_counts=True)
    counts = np.bincount(places)
    found = np.flatnonzero(counts)
    return kept[found], counts[found]
