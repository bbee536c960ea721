"""The canonical form of an ECDSA signature, of which anybody can make a second valid one. Needs no crypto library."""

from __future__ import annotations

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order of the group of P-256. Source: SP 800-186, 3.2.1.3."""
_SEQUENCE, _INTEGER = 0x30, 0x02


def lowered(der: bytes) -> bytes:
    """The lower of a signature (r, s) and its twin (r, order - s), in DER. Anything else is returned as it is."""
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
    """The content of an element, and the rest. Signatures on P-256 are short, so lengths are one byte."""
    if der[0] != tag or not 0 < der[1] < 0x80 or len(der) < 2 + der[1]:
        raise IndexError
    return der[2 : 2 + der[1]], der[2 + der[1] :]


def _number(der: bytes) -> tuple[int, bytes]:
    content, rest = _content(der, _INTEGER)
    return int.from_bytes(content, "big"), rest


def _encoded(number: int) -> bytes:
    content = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return bytes([_INTEGER, len(content)]) + content
