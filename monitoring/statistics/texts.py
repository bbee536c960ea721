"""How often is each text in a long list? Counted over the bytes of all of them at once, exactly.

    counted(["UA", "MQ", None, "UA"])    # {"UA": 2, "MQ": 1, None: 1}

A dictionary looks at one text after the other, and waits for the memory of each. Joined to one, texts of up to eight
bytes are so many numbers of 64 bits, which are counted by a hash of each, all at once. Where two share a hash they are
sorted; texts that are longer, or hold the separator, are counted by a dictionary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

_SEPARATOR, _WIDE = "\0", 8
_BITS, _MANY = 16, 4096  # of fewer words than so many, sorting takes less than filling the table
_GOLDEN, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(64 - _BITS)
_FIRST_BYTES = np.array([(1 << 8 * size) - 1 for size in range(_WIDE + 1)], dtype=np.uint64)


def counted(values: Sequence[str | None]) -> dict[str | None, int]:
    """The number of each text, and of None.

    Raises:
        TypeError: A value is neither a text nor None.
    """
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
    """Count as words of eight bytes; None when the texts are longer, or cannot be told apart."""
    encoded = text.encode("utf-8", "surrogatepass")
    raw = np.frombuffer(encoded + bytes(_WIDE + 1), dtype=np.uint8)
    ends = raw[: len(encoded) + 1] == 0
    if np.count_nonzero(ends) != texts:
        return None
    at_every_byte: NDArray[np.uint64] = np.ndarray((len(ends),), "<u8", raw, strides=(1,))
    each, left = divmod(len(ends), texts)
    if not left and ends[each - 1 :: each].all():  # all as long, as codes mostly are: nothing has to be looked for
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
    """The different words, and how often each is there.

    The hash is the upper bits of the product with 2**64 over the golden ratio (Knuth, The Art of Computer Programming
    3, 6.4). Each hash keeps one of its words; all are as they were only if no other word has the same hash.
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
