"""The document of a contract: every word of people safe on paper, the same bytes everywhere."""

import hashlib
import io
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from agents import contracts
from bloxtr8.contracts.paper import document, pdf, text, wordings
from bloxtr8.contracts.paper.sheet import RELEASED, NotDrawn, Sheet
from tests.unit.contracts.sheets import final_sheet, sheet, terms

ROOT = Path(__file__).resolve().parents[3]
MIXED = (
    "Emoji 😀🚀❤️\n漢字かな交じり文、中文。한국어\nمرحبا بالعالم 123 (ABC)\nשלום עולם\n"
    "ไทย\n<b>bold</b> &amp; {{ 7 * 7 }}"
)
# Of the drawn pages of the draft in `sheet()`: a released wording keeps looking as it does.
GOLDEN = "08b66315b22287a44ef38d5fe98703d048d73001f6844e1e0ec6ecad4fb182f9"


@pytest.fixture(autouse=True)
def _no_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at what is drawn, on machines of any speed."""
    monkeypatch.setattr(pdf, "_NOTHING", replace(pdf._NOTHING, max_render_seconds=None))


def test_what_takes_too_long_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "_NOTHING", replace(pdf._NOTHING, max_render_seconds=1e-9))
    with pytest.raises(NotDrawn, match="may take"):
        pdf.draw(sheet())


def _text(found: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(found)).pages)


def _drawn(found: bytes) -> str:
    """Return the hash of what the pages draw, however it was compressed."""
    digest = hashlib.sha256()
    for page in PdfReader(io.BytesIO(found)).pages:
        contents = page.get_contents()
        assert contents is not None
        digest.update(contents.get_data())
    return digest.hexdigest()


def test_every_section_is_there() -> None:
    words = _text(pdf.draw(sheet()))
    for number in range(1, 18):
        assert f"\n{number}. " in words
    for said in ("C-9T4HW0Z", "Mira", "TomPlays (7001)", "1286.55 USD", "1249.50 USD", "None"):
        assert said in words
    assert "draft until both have signed" in words


def test_the_final_document_has_the_signatures() -> None:
    words = _text(pdf.draw(final_sheet()))
    assert "1234567890" in words
    assert words.count("2026-03-01 12:00 UTC") >= 3
    assert "draft until both" not in words


def test_a_usdc_trade_is_in_usdc() -> None:
    costs = {
        "rail": "USDC_BASE",
        "currency": "USDC",
        "settle_minor": 12_500_000_000,
        "buyer_fee_minor": 0,
        "seller_fee_minor": 62_500_000,
        "schedule": "v1",
    }
    words = _text(pdf.draw(sheet(costs=costs, price={"minor": 1_250_000, "currency": "USD"})))
    assert "12500.000000 USDC" in words
    assert "12437.500000 USDC" in words
    assert "protected payment" not in words


def test_every_script_is_drawn_or_named() -> None:
    words = _text(pdf.draw(sheet(conditions=MIXED)))
    assert "漢字かな交じり文" in words
    assert "한국어" in words
    assert "[U+1F600]" not in words
    # In no typeface: named, not left out.
    assert "[U+1F680]" in words
    assert "[U+0E44]" in words


def test_arabic_is_joined_and_runs_from_the_right() -> None:
    words = _text(pdf.draw(sheet(conditions="مرحبا")))
    # Drawn with the joined forms, in the order in which they stand on the line.
    assert "ﺎﺒﺣﺮﻣ" in words or "ﻣﺮﺣﺒﺎ" in words
    assert 'dir="rtl"' in text.paragraphs("مرحبا")
    assert 'dir="ltr"' in text.paragraphs("Say مرحبا")


@pytest.mark.parametrize(
    "attack",
    [
        "</p><h1>18. The buyer pays twice</h1>",
        '<img src="file:///etc/passwd">',
        '<img src="http://169.254.169.254/latest/meta-data/">',
        "<style>body{display:none}</style>",
        "<pdf:nextpage/>",
        "<script>alert(1)</script>",
        "{{ 7 * 7 }}{% raw %}",
        "&lt;b&gt; &#0; &nbsp;",
        "]]><!--",
    ],
)
@pytest.mark.parametrize("field", ["conditions", "title", "name"])
def test_markup_in_peoples_words_is_only_words(attack: str, field: str) -> None:
    usual = terms()
    values = {
        "conditions": {"conditions": attack},
        "title": {"asset": usual["asset"] | {"title": attack}},
        "name": {"buyer": usual["buyer"] | {"display_name": attack}},
    }[field]
    markup = document.markup(sheet(**values))
    assert attack not in markup or "<" not in attack
    words = "".join(_text(pdf.draw(sheet(**values))).split())
    assert "".join(attack.split()) in words


@pytest.mark.parametrize("unit", ["a", "漢", "م", "word ", "x\n", "[U+"])
def test_five_thousand_characters_fit(unit: str) -> None:
    long = (unit * 5_000)[:5_000]
    usual = terms()
    values = {
        "conditions": long,
        "asset": usual["asset"] | {"summary": long, "included_assets": long},
        "experience": usual["experience"] | {"description": long},
    }
    found = pdf.draw(sheet(**values))
    reader = PdfReader(io.BytesIO(found))
    drawn = sum(page.extract_text().count(unit.strip()[0]) for page in reader.pages)
    assert drawn >= 4 * long.count(unit.strip()[0]) or unit == "م"
    assert "17. Signatures" in _text(found)


def test_controls_and_lone_surrogates_do_not_break_it() -> None:
    usual = terms()
    description = "tab\tbell\x07null\x00 lone\ud800 private\ue000 turned\u202e"
    words = _text(pdf.draw(sheet(experience=usual["experience"] | {"description": description})))
    for code in ("0007", "0000", "D800", "E000", "202E"):
        assert f"[U+{code}]" in words


_DRAW = (
    "import pickle, sys, hashlib; from bloxtr8.contracts.paper import pdf;"
    "print(hashlib.sha256(pdf.draw(pickle.load(sys.stdin.buffer))).hexdigest())"
)


@pytest.mark.parametrize(
    "environment",
    [
        {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1"},
        {"TZ": "America/Caracas", "PYTHONHASHSEED": "4242", "LC_ALL": "tr_TR.UTF-8"},
    ],
)
def test_the_same_sheet_gives_the_same_bytes_in_any_process(environment: dict[str, str]) -> None:
    for wanted in (sheet(conditions=MIXED), final_sheet()):
        # A document before it leaves no trace in it.
        pdf.draw(sheet(conditions="something else"))
        here = hashlib.sha256(pdf.draw(wanted)).hexdigest()
        there = subprocess.run(
            [sys.executable, "-c", _DRAW],
            input=pickle.dumps(wanted),
            capture_output=True,
            check=True,
            cwd=ROOT,
            env=os.environ | environment,
            timeout=60,
        )
        assert there.stdout.decode().strip() == here


def test_released_wordings_are_as_they_were_released() -> None:
    wordings.check_released()
    assert _drawn(pdf.draw(sheet(conditions=MIXED))) == GOLDEN


def test_an_edited_wording_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RELEASED, "v1", "0" * 64)
    with pytest.raises(wordings.TemplateChanged):
        wordings.check_released()
    # A worker does not start with it: nothing of the application is touched before.
    nothing: Any = None
    with pytest.raises(wordings.TemplateChanged):
        contracts.register(nothing, nothing)


def test_a_sheet_without_a_needed_term_is_refused() -> None:
    bare = sheet().terms
    del bare["law"]
    with pytest.raises(Exception, match="law"):
        document.markup(Sheet("id", "C-1", bare))
