"""Keys of age (age-encryption.org/v1): 32 random bytes in Bech32 (BIP 173), upper case."""

from secrets import token_bytes

_PREFIX = "age-secret-key-"
_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def new_identity() -> str:
    """A new secret key, ``AGE-SECRET-KEY-1…``."""
    values = _groups_of_five(token_bytes(32))
    check = _polymod([*_expanded(_PREFIX), *values, *[0] * 6]) ^ 1
    values += [(check >> 5 * (5 - place)) & 31 for place in range(6)]
    return f"{_PREFIX}1{''.join(_LETTERS[each] for each in values)}".upper()


def identity_fault(text: str) -> str | None:
    """Why a text is no secret key of age, or None."""
    if text.startswith("age1"):
        return "is a public key of age, with which no backup could be proven or restored"
    prefix, _, rest = text.lower().rpartition("1")
    is_plausible = text.isupper() and prefix == _PREFIX and len(rest) == 58
    if not is_plausible or not set(rest) <= set(_LETTERS):
        return "is no secret key of age"
    values = [_LETTERS.index(each) for each in rest]
    if _polymod([*_expanded(prefix), *values]) != 1:
        return "is no secret key of age: its checksum is wrong, so that a character is"
    return None


def _groups_of_five(data: bytes) -> list[int]:
    bits = "".join(f"{each:08b}" for each in data)
    bits += "0" * (-len(bits) % 5)
    return [int(bits[start : start + 5], 2) for start in range(0, len(bits), 5)]


def _expanded(prefix: str) -> list[int]:
    return [ord(each) >> 5 for each in prefix] + [0] + [ord(each) & 31 for each in prefix]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            check ^= generator if (top >> bit) & 1 else 0
    return check
