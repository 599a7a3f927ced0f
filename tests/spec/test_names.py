"""Names for files, safe everywhere."""

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchgen.spec import template
from batchgen.spec.names import clean_part, default_row_id, parse_name, short_ids, slug, task_name

RESERVED = ("con", "prn", "aux", "nul", "com1", "lpt9")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a red car", "a red car"),
        ("雨の街", "雨の街"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "_"),
        ("", "_"),
        ("a/b\\c", "a-b-c"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("end. . ", "end"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("a\x00b\x1bc\nd", "abc-d"),
        ("e\u0301", "\u00e9"),
        ('a<b>:"|?*', "a-b------"),
        ("-rf", "rf"),
    ],
)
def test_a_part_is_cleaned_as_a_person_would(text: str, name: str) -> None:
    assert clean_part(text) == name


def test_the_strict_form_keeps_ascii_alone_and_two_scripts_apart() -> None:
    assert clean_part("Café au lait", ascii=True) == "Cafe-au-lait"
    assert clean_part("雨の街", ascii=True) != clean_part("城市", ascii=True)
    assert clean_part("雨の街", ascii=True).isascii()


def test_a_part_has_eighty_bytes_at_most_and_no_half_letter() -> None:
    name = clean_part("é" * 200)

    assert len(name.encode()) <= 80
    assert set(name) == {"é"}


@settings(max_examples=300)
@given(st.text(), st.booleans())
@example("\udc80", False)
@example("COM¹", False)
@example("con ", True)
def test_no_text_makes_a_part_that_is_not_safe(text: str, ascii: bool) -> None:  # noqa: A002
    name = clean_part(text, ascii)

    assert name
    assert 0 < len(name.encode()) <= 80
    assert name not in {".", ".."}
    assert not set(name) & set('<>:"/\\|?*\0')
    assert not name.endswith((".", " "))
    assert name.partition(".")[0].strip().lower() not in RESERVED
    assert PureWindowsPath(name).name == name
    assert clean_part(name, ascii) == name
    assert not ascii or name.isascii()


@settings(max_examples=200)
@given(st.text(), st.text(), st.text(max_size=200))
def test_no_template_and_no_values_make_a_name_outside_of_the_folder(literal: str, value: str, other: str) -> None:
    pattern = literal.replace("{", "{{").replace("}", "}}") + "{a}/{b}{c}/.."
    name = task_name(parse_name(pattern), {"a": clean_part(value), "b": value, "c": other})

    assert not name.startswith("/")
    parts = PurePosixPath(name).parts
    assert all(part not in {"", ".", ".."} for part in name.split("/"))
    assert all(len(part.encode()) <= 80 for part in parts)


def test_what_makes_a_long_name_unlike_others_stays_in_it() -> None:
    name = task_name(parse_name("{model}-{seed}-{id}"), {"model": "m" * 80, "seed": "2147483646", "id": "0123abcd"})

    assert name.endswith("-2147483646-0123abcd")
    assert len(name) <= 80


def test_a_slug_keeps_whole_words_of_any_script() -> None:
    assert slug("A neon city, in the RAIN!") == "a-neon-city-in-the-rain"
    assert slug("霓虹 城市") == "霓虹-城市"
    assert len(slug("word " * 40).encode()) <= 40
    assert slug("word " * 40).endswith("-word")
    assert slug("!!!") == ""


def test_the_default_id_is_a_slug_and_four_digits_of_a_hash() -> None:
    assert default_row_id(template.parse("a neon city, {style}")) == "a-neon-city-1cfa"
    assert default_row_id(template.parse("a neon city, {look}")) == "a-neon-city-1cfa"
    assert default_row_id(template.parse("a neon city")) != default_row_id(template.parse("a neon city!"))


def test_short_names_stay_apart_in_prompt_ids() -> None:
    ids = short_ids(["ink", "Ink", "thick oil paint", "thick, oil paint", "!!!"])

    assert ids["ink"] == "ink"
    assert ids["thick oil paint"] == "thick-oil-paint"
    assert len({value.lower() for value in ids.values()}) == 5


@pytest.mark.parametrize(
    ("text", "name", "strict"),
    [
        ("a red car", "a red car", "a-red-car"),
        ("\u96e8\u306e\u8857 \u2602", "\u96e8\u306e\u8857 \u2602", "ufd599e15"),
        (
            "\u0141\xf3d\u017a \u2013 \u017b\xf3\u0142\u0107",
            "\u0141\xf3d\u017a \u2013 \u017b\xf3\u0142\u0107",
            "odz-Zoc",
        ),
        ("na\xefve caf\xe9", "na\xefve caf\xe9", "naive-cafe"),
        (
            "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
            "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
            "u9a0af011",
        ),
        (
            "\u0645\u062f\u064a\u0646\u0629 \u0627\u0644\u0646\u064a\u0648\u0646",
            "\u0645\u062f\u064a\u0646\u0629 \u0627\u0644\u0646\u064a\u0648\u0646",
            "u3ba6eef9",
        ),
        (
            "\u0928\u093f\u092f\u0949\u0928 \u0936\u0939\u0930",
            "\u0928\u093f\u092f\u0949\u0928 \u0936\u0939\u0930",
            "u7753a538",
        ),
        (
            "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family",
            "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family",
            "family",
        ),
        ("con.png", "_con.png", "_con.png"),
        ("LPT1 .x", "_LPT1 .x", "LPT1-.x"),
        ("COM\xb9", "_COM\xb9", "_COM1"),
        ("CONIN$", "_CONIN$", "CONIN"),
        ("a:b", "a-b", "a-b"),
        ("file.txt::$DATA", "file.txt--$DATA", "file.txt---DATA"),
        ("PROGRA~1", "PROGRA~1", "PROGRA-1"),
        ("~$HOME%PATH%", "~$HOME%PATH%", "HOME-PATH"),
        ("..\\..\\x", "x", "x"),
        ("...", "_", "uab5df625"),
        ("-rf *", "rf -", "rf"),
        ("a\u202egpj.exe", "agpj.exe", "agpj.exe"),
        ("e\u0301", "\xe9", "e"),
        ("\ufb01re", "\ufb01re", "fire"),
        ("x\n y\ty", "x- y-y", "x--y-y"),
        ("trail. . ", "trail", "trail.-"),
        ("\ud800x", "x", "x"),
        ("a\xa0b", "a b", "a-b"),
        ("\u3164", "\u3164", "u7519204f"),
        ("aux.", "_aux", "_aux"),
        ("\u0130stanbul", "\u0130stanbul", "Istanbul"),
    ],
)
def test_the_same_text_gives_the_same_name_for_ever(text: str, name: str, strict: str) -> None:
    assert (clean_part(text), clean_part(text, ascii=True)) == (name, strict)


@pytest.mark.parametrize(
    "text",
    [
        "Z\u0351\u0363\u036b\u0301" * 60,
        "\u0301" * 500,
        "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 20,
        "\ud83d" * 90,
        "\u202e" * 90 + "a",
        "\u200d" * 90,
        "x" * 79 + "\u96e8",
        "a" * 79 + ". .",
        "COM\u00b2" + "." * 200,
    ],
)
@pytest.mark.parametrize("ascii", [False, True])
def test_floods_of_marks_joiners_and_halves_of_characters_are_cut_to_a_name_that_can_be_made(
    tmp_path: Path,
    text: str,
    ascii: bool,  # noqa: A002
) -> None:
    name = clean_part(text, ascii)

    assert 0 < len(name.encode()) <= 80
    assert name[-1] not in ". \u200d"
    assert clean_part(name, ascii) == name
    (tmp_path / f"{name}-0123abcd-2-999.webp.12345.part").write_bytes(b"")
    assert [found.name[: len(name)] for found in tmp_path.iterdir()] == [name]


@settings(max_examples=300)
@given(st.text(st.characters(), max_size=120), st.booleans())
def test_a_name_is_one_name_to_windows_too_with_what_is_put_behind_it(text: str, ascii: bool) -> None:  # noqa: A002
    for behind in ("", ".png", "-0123abcd-2.webp"):
        path = PureWindowsPath("C:/out/images") / (clean_part(text, ascii) + behind)

        assert path.parent == PureWindowsPath("C:/out/images")
        assert not path.is_reserved()
        assert ":" not in path.name
        assert path.name.rstrip(". ") == path.name
