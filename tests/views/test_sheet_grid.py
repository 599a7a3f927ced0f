"""Where pictures stand on a sheet, how large they are, and where a sheet ends."""

from typing import Any

import pytest

from batchgen.errors import UsageError
from batchgen.views.sheet_grid import Frame, Grid, check_axes, make_grid
from batchgen.views.sheet_layout import MAX_CELLS, MAX_PIXELS, MAX_SIDE, make_layout, parts_of


def frame(**facts: Any) -> Frame:
    asked = {"prompt_id": "fox", "row": "fox", "prompt": "a fox", "label": "dev", "try": 1, "seed": 7, "night": ""}
    return Frame({**asked, "vars": {}, "picture": 1, **facts}, state="failed")


def frames(prompts: int = 2, models: int = 2, tries: int = 2) -> list[Frame]:
    return [
        frame(prompt_id=f"p{p}", row=f"p{p}", prompt=f"prompt {p}", label=f"m{m}", **{"try": k}, seed=k)
        for k in range(1, tries + 1)
        for p in range(prompts)
        for m in range(models)
    ]


def styled() -> list[Frame]:
    return [
        frame(prompt_id=f"fox.{style}", prompt=f"a {style} fox", vars={"style": style, "time": time}, label=label)
        for style in ("ink", "oil")
        for time in ("dawn",)
        for label in ("dev", "pro")
    ]


def titles(grid: Grid) -> tuple[list[str], list[str]]:
    return [label.title for label in grid.rows], [label.title for label in grid.columns]


def test_prompts_are_rows_and_models_with_tries_are_columns() -> None:
    grid = make_grid(frames(), (), ())

    assert titles(grid) == (["p0", "p1"], ["m0 · try 1", "m0 · try 2", "m1 · try 1", "m1 · try 2"])
    assert [label.text for label in grid.rows] == ["prompt 0", "prompt 1"]
    assert len(grid.frames) == 8
    assert grid.frames[1, 2].facts["label"] == "m1"


def test_what_varies_beside_the_named_axes_becomes_a_part_of_the_rows() -> None:
    grid = make_grid(frames(), ("prompt",), ("model",))

    assert titles(grid) == (["p0 · try 1", "p0 · try 2", "p1 · try 1", "p1 · try 2"], ["m0", "m1"])
    assert len(grid.frames) == 8


def test_no_picture_is_hidden_behind_another_whatever_the_axes_are() -> None:
    pictures = frames(3, 2, 2)

    for rows, columns in ((("model",), ("try",)), (("try",), ()), ((), ("prompt",)), (("seed",), ("model",))):
        grid = make_grid(pictures, rows, columns)

        assert sorted(map(id, grid.frames.values())) == sorted(map(id, pictures)), (rows, columns)


def test_pictures_that_nothing_tells_apart_follow_each_other() -> None:
    twins = [frame(), frame(), frame(label="pro")]

    grid = make_grid(twins, (), ())

    assert grid.flows
    assert len(grid.frames) == 3


def test_one_model_and_one_try_need_no_columns() -> None:
    grid = make_grid(frames(64, 1, 1), (), ())

    assert grid.flows
    assert len(grid.rows) == 64


def test_a_grid_that_would_be_mostly_empty_is_a_row_of_pictures_with_their_names() -> None:
    pictures = [frame(prompt_id=f"p{n}", label=f"m{n}") for n in range(8)]

    assert make_grid(pictures, (), ()).flows
    assert not make_grid(pictures, ("prompt",), ("model",)).flows


def test_a_variable_may_be_an_axis_and_its_name_is_known_with_and_without_its_mark() -> None:
    assert check_axes(["style", "var:Time", "MODEL"], ["style", "time"]) == ("var:style", "var:time", "model")
    with pytest.raises(UsageError, match="there is no axis stile") as error:
        check_axes(["stile"], ["style"])
    assert error.value.hint == "did you mean style?"


def test_an_id_that_was_made_from_the_prompt_is_not_written_above_the_prompt() -> None:
    made = frame(prompt_id="a-quiet-harbour-2e68.ink", row="a-quiet-harbour-2e68", prompt="a quiet harbour, ink wash")
    named = frame(prompt_id="sku-0001.ink", row="sku-0001", prompt="a quiet harbour, ink wash", label="pro")

    grid = make_grid([made, named], ("prompt",), ("model",))

    assert titles(grid)[0] == ["ink", "sku-0001.ink"]


@pytest.mark.parametrize(
    ("prompts", "models", "tries"), [(1, 1, 1), (3, 1, 1), (64, 1, 1), (700, 1, 1), (40, 8, 4), (1, 8, 40)]
)
@pytest.mark.parametrize("cell", [None, 48, 2048])
def test_no_sheet_is_absurd_and_every_picture_is_on_one(
    prompts: int, models: int, tries: int, cell: int | None
) -> None:
    pictures = frames(prompts, models, tries)
    grid = make_grid(pictures, (), ())
    layout = make_layout(grid, pictures, cell)
    parts = list(parts_of(grid, layout))

    places: list[object] = []
    for part in parts:
        width, height = layout.width(len(part.columns)), layout.height(len(part.rows))
        assert max(width, height) <= MAX_SIDE
        assert width * height <= MAX_PIXELS
        assert len(part.rows) * len(part.columns) <= MAX_CELLS
        spots = [(row, column) for row in part.rows for column in part.columns]
        if grid.flows:
            spots = [(row * layout.columns + column, 0) for row, column in spots]
        places += [spot for spot in spots if spot in grid.frames]

    assert sorted(places, key=str) == sorted(grid.frames, key=str)
    assert cell is None or max(layout.cell_width, layout.cell_height) == cell
