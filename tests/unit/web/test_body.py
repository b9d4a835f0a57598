"""Reading JSON strictly."""

import json
import random
import string

import pytest
from multidict import MultiDict

from bloxtr8.errors import Bloxtr8Error, MalformedJson, UnknownField, ValidationFailed
from bloxtr8.text import clean
from web.body import parse_json, validated, validated_query
from web.requests import Confirm, EscrowList, Settlement


def test_sixteen_levels_and_no_more() -> None:
    parse_json(b"[" * 16 + b"]" * 16)
    with pytest.raises(MalformedJson):
        parse_json(b"[" * 17 + b"]" * 17)


def test_fields_are_named_by_pointer() -> None:
    with pytest.raises(ValidationFailed) as refused:
        validated(Settlement, b'{"seller_amount": {"minor": "1", "currency": "USD"}}')
    (entry,) = refused.value.members["errors"]
    assert entry["field"] == "/seller_amount/minor"
    with pytest.raises(UnknownField) as unknown:
        validated(Confirm, b'{"confirm": true, "a/b~c": 1}')
    assert unknown.value.members["errors"][0]["field"] == "/a~1b~0c"


def test_queries_are_given_once() -> None:
    parsed = validated_query(EscrowList, MultiDict([("limit", "5"), ("open", "true")]))
    assert (parsed.limit, parsed.open) == (5, True)
    for pairs in ([("limit", "1"), ("limit", "2")], [("cursor", "x" * 2000)], [("x", "1")]):
        with pytest.raises(Bloxtr8Error):
            validated_query(EscrowList, MultiDict(pairs))


def test_texts_are_normalised_and_trimmed() -> None:
    assert clean("  e\u0301\r\n ok ") == "\u00e9\n ok"
    for bad in ("a\u0000", "a\u202eb", "a\u200bb", "a\u0007", "\ufeffa", "a\tb"):
        with pytest.raises(ValueError, match="not allowed"):
            clean(bad)
    shown_as_nothing = "\u034f\u17b4\u206a\ufff9\U000e0001\U000e0041\U000e0100"
    for unseen in "\u00ad\u2028\u2029\u2063\u3164\uffa0" + shown_as_nothing:
        with pytest.raises(ValueError, match="not allowed"):
            clean(f"a{unseen}b")


def test_blank_lines_do_not_push_a_text_out_of_sight() -> None:
    assert clean("a\n\nb\nc") == "a\n\nb\nc"
    assert clean("a" + "\n" * 900 + "b") == "a\n\nb"
    assert clean("a\n \n\u3000\r\n\n  b\n\n\nc") == "a\n\n  b\n\nc"


def test_random_bytes_are_refused_or_read_and_never_crash() -> None:
    chance = random.Random(20261122)
    alphabet = string.printable.encode() + b'{}[]",:\\\xff\x00' * 5
    for _ in range(3_000):
        raw = bytes(chance.choices(alphabet, k=chance.randrange(1, 60)))
        try:
            parse_json(raw)
            validated(Settlement, raw)
        except Bloxtr8Error:
            continue
        pytest.fail(f"{raw!r} is a settlement")


def test_what_python_and_pydantic_read_is_the_same() -> None:
    # Two parsers that disagree about a body would let one check what the other does not see.
    for raw in (
        b'{"confirm": true}',
        b' {"confirm" : true} ',
        json.dumps({"confirm": True}).encode(),
    ):
        assert parse_json(raw) == validated(Confirm, raw).model_dump()
