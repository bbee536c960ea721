"""The one form in which a signature is kept: from one on P-256 anybody can make another that verifies as well.

Nothing of it needs a library for keys: what puts records away in a cloud has none.
"""

from __future__ import annotations

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256. Source: SP 800-186, 3.2.1.3."""
_SEQUENCE, _INTEGER = 0x30, 0x02


def lowered(der: bytes) -> bytes:
    """The lower of a signature (r, s) and its twin (r, order - s), in DER.

    What is no signature is given back, for the verification to refuse.
    """
    try:
        r, rest = _number(_content(der, _SEQUENCE)[0])
        s, _ = _number(rest)
    except IndexError:
        return der
    if not 0 < s < ORDER:
        return der
    numbers = b"".join(_encoded(number) for number in (r, min(s, ORDER - s)))
    return bytes([_SEQUENCE, len(numbers)]) + numbers


def _content(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """What an element holds, and what follows it. A signature on P-256 is short, so its lengths are one byte."""
    if der[0] != tag or not 0 < der[1] < 0x80 or len(der) < 2 + der[1]:
        raise IndexError
    return der[2 : 2 + der[1]], der[2 + der[1] :]


def _number(der: bytes) -> tuple[int, bytes]:
    content, rest = _content(der, _INTEGER)
    return int.from_bytes(content, "big"), rest


def _encoded(number: int) -> bytes:
    content = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return bytes([_INTEGER, len(content)]) + content
