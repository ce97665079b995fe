"""The bytes of a decimal number in PostgreSQL's binary COPY."""

import struct
from decimal import Decimal

_NO_NUMBERS = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
_SIGNS = {text: sign for sign, text in _NO_NUMBERS.items()}


def numeric_bytes(value: Decimal) -> bytes:
    """A decimal number: groups of four digits, and how many places are shown."""
    if not value.is_finite():
        return struct.pack("!hhHh", 0, 0, _SIGNS[str(value)], 0)
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) % 4
    rest, power = int("".join(map(str, digits))) * 10**shift, (int(exponent) - shift) // 4
    groups: list[int] = []
    while rest:
        rest, group = divmod(rest, 10_000)
        if group or groups:
            groups.append(group)
        else:
            power += 1
    weight = power + len(groups) - 1 if groups else 0
    head = struct.pack(
        "!hhHh", len(groups), weight, 0x4000 if sign and groups else 0, max(0, -int(exponent))
    )
    return head + struct.pack(f"!{len(groups)}H", *reversed(groups))


def numeric_of(raw: bytes) -> Decimal:
    """The decimal number of PostgreSQL's bytes, without zeros at its end."""
    count, weight, sign, _ = struct.unpack_from("!hhHh", raw)
    if sign in _NO_NUMBERS:
        return Decimal(_NO_NUMBERS[sign])
    whole = 0
    for group in struct.unpack_from(f"!{count}H", raw, 8):
        whole = whole * 10_000 + group
    digits = tuple(map(int, str(whole)))
    return Decimal((int(sign == 0x4000), digits, (weight - count + 1) * 4 if count else 0))
