"""A small assembler for the EVM: words, numbers and labels in, byte code out.

Source of the opcodes: the Ethereum Yellow Paper, appendix H.
"""

_OPCODES = {
    "STOP": 0x00,
    "ADD": 0x01,
    "MUL": 0x02,
    "SUB": 0x03,
    "DIV": 0x04,
    "LT": 0x10,
    "EQ": 0x14,
    "ISZERO": 0x15,
    "OR": 0x17,
    "SHL": 0x1B,
    "SHR": 0x1C,
    "KECCAK256": 0x20,
    "CALLER": 0x33,
    "CALLDATALOAD": 0x35,
    "POP": 0x50,
    "MLOAD": 0x51,
    "MSTORE": 0x52,
    "SLOAD": 0x54,
    "SSTORE": 0x55,
    "JUMP": 0x56,
    "JUMPI": 0x57,
    "DUP1": 0x80,
    "DUP2": 0x81,
    "SWAP1": 0x90,
    "LOG3": 0xA3,
    "RETURN": 0xF3,
    "REVERT": 0xFD,
}
_JUMPDEST = 0x5B
_PUSH1 = 0x60
_LABEL_BYTES = 2
_NUMBER_BYTES_MAX = 32


def assemble(source: str) -> bytes:
    """Return the byte code of `source`.

    A line's words are mnemonics, numbers (pushed), `@label` (its address, pushed) and `label:`
    (a place to jump to); the rest of a line after `;` is a comment. Raises ValueError.
    """
    code = bytearray()
    places: dict[str, int] = {}
    wanted: list[tuple[int, str]] = []
    for line in source.splitlines():
        for word in line.partition(";")[0].split():
            _emit(word, code, places, wanted)
    for at, label in wanted:
        if label not in places:
            raise ValueError(f"no such label: {label}")
        code[at : at + _LABEL_BYTES] = places[label].to_bytes(_LABEL_BYTES, "big")
    return bytes(code)


def _emit(
    word: str, code: bytearray, places: dict[str, int], wanted: list[tuple[int, str]]
) -> None:
    if word.endswith(":"):
        if word[:-1] in places:
            raise ValueError(f"label used twice: {word}")
        places[word[:-1]] = len(code)
        code.append(_JUMPDEST)
    elif word.startswith("@"):
        code.append(_PUSH1 + _LABEL_BYTES - 1)
        wanted.append((len(code), word[1:]))
        code += bytes(_LABEL_BYTES)
    elif word[0].isdigit():
        code += _push(int(word, 0))
    elif word in _OPCODES:
        code.append(_OPCODES[word])
    else:
        raise ValueError(f"unknown word: {word}")


def _push(number: int) -> bytes:
    size = max(1, (number.bit_length() + 7) // 8)
    if size > _NUMBER_BYTES_MAX:
        raise ValueError(f"{number:#x} has more than 256 bits")
    return bytes([_PUSH1 + size - 1]) + number.to_bytes(size, "big")
