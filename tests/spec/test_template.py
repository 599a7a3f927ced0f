"""Text with `{x}` in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.spec.template import TemplateError, compile_value, parse, plain, render_value


def test_names_are_replaced_and_doubled_braces_are_braces() -> None:
    template = parse("a {x}, {{b}} and { Y }")

    assert template.names == ("x", "y")
    assert template.render({"x": "1", "y": "2"}) == "a 1, {b} and 2"


def test_inserted_values_are_never_expanded_again() -> None:
    assert parse("{x}{y}").filled({"x": "{y}"}).render({"y": "{x}"}) == "{y}{x}"


@pytest.mark.parametrize("text", ["a { b", "a } b", "{}", "{ }", "{{x}", "{x}}"])
def test_a_stray_brace_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(TemplateError, match="`literal: true`"):
        parse(text)


def test_literal_text_keeps_its_braces() -> None:
    assert plain("a {x} }{").render({}) == "a {x} }{"
    assert compile_value(["{x}"], literal=True) == ("{x}", ()) or compile_value(["{x}"], literal=True)[1] == ()


def test_renaming_a_name_leaves_the_anonymous_text_as_it_is() -> None:
    assert parse("{a} and {b} and {a}").anonymous == parse("{x} and {y} and {x}").anonymous
    assert parse("{a} and {b}").anonymous != parse("{a} and {a}").anonymous


def test_lists_and_mappings_are_looked_through() -> None:
    tree, names = compile_value({"a": ["{x}", 1], "b": {"c": "{y}", "d": "{{z}}"}})

    assert names == ("x", "y")
    assert render_value(tree, {"x": "X", "y": "Y"}) == {"a": ["X", 1], "b": {"c": "Y", "d": "{z}"}}


@given(st.text())
def test_any_text_with_its_braces_doubled_is_itself(text: str) -> None:
    assert parse(text.replace("{", "{{").replace("}", "}}")).render({}) == text
