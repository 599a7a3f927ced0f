"""The page of the gallery in a real browser: axes, filters, keys, lightbox, summary; from a path that is no easy one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from .browser import Reader, needs_chromium, outside
from .synthetic import Wanted, write_gallery

pytestmark = needs_chromium

PROMPTS = ["a quiet harbour, {style}", "a red fox, {style}", "雨の夜の東京、{style}"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a b#c %41?") / "outputs é" / "neon"
    wanted = Wanted(
        PROMPTS, models=2, tries=2, variables={"style": ["ink", "oil"]}, failing=5, flagged=7, earlier=8, large=True
    )
    return write_gallery(folder, wanted)


@pytest.fixture
def gallery(reader: Reader, page: Path) -> Iterator[Reader]:
    reader.open(page)
    yield reader
    reader.js("localStorage.clear()")


def visible_rows(reader: Reader) -> list[str]:
    return reader.texts(".row-head .text")


def arrange(reader: Reader, axis: str, place: str) -> None:
    reader.js("document.getElementById('arrange').click()")
    reader.js("""
        const select = document.getElementById(arguments[0]);
        select.value = arguments[1];
        select.dispatchEvent(new Event("change"));
        document.getElementById('arrange').click();
    """, f"axis-{axis}", place)  # fmt: skip


def test_rows_are_prompts_and_columns_models_with_their_tries(gallery: Reader) -> None:
    assert visible_rows(gallery)[:2] == ["a quiet harbour, ink", "a quiet harbour, oil"]
    assert gallery.texts(".column-head") == ["flux.1-dev", "pro-wide", "Try 1", "Try 2", "Try 1", "Try 2"]
    assert gallery.names()[0] == "row-0.ink, flux.1-dev, try 1; stored"
    assert gallery.text("#count") == "21 cells in 6 rows"


def test_any_axis_goes_anywhere_and_a_variable_that_leaves_the_rows_splits_prompts(gallery: Reader) -> None:
    arrange(gallery, "var:style", "columns")

    assert visible_rows(gallery)[0] == "row-0"
    assert "styleink" in gallery.texts(".column-head")

    arrange(gallery, "try", "pages")

    assert gallery.texts("#page option") == ["Try 1", "Try 2"]
    assert all("try 1" in name for name in gallery.names())
    gallery.press("]")
    assert all("try 2" in name for name in gallery.names())
    arrange(gallery, "try", "")
    assert gallery.text("#count").startswith("21 cells in 3 rows")


def test_rows_and_columns_change_places_and_an_axis_goes_before_another(gallery: Reader) -> None:
    gallery.click("#arrange")
    gallery.click("#raise-try")

    assert gallery.texts(".column-head") == ["Try 1", "Try 2", *["flux.1-dev", "pro-wide"] * 2]

    gallery.click("#swap")
    assert visible_rows(gallery)[:2] == ["Try 1", "flux.1-dev"]
    assert gallery.texts(".column-head")[0] == "a quiet harbour, ink"

    gallery.click("#as-usual")
    assert gallery.texts(".column-head")[0] == "flux.1-dev"


@pytest.mark.parametrize(
    ("filter_", "value", "fits"),
    [
        ("axis-model", "pro-wide", lambda name: "pro-wide" in name),
        ("axis-var:style", "oil", lambda name: ".oil" in name),
        ("axis-try", "Try 2", lambda name: "try 2" in name),
        ("states", "failed", lambda name: name.endswith("; failed")),
        ("flags", "size", lambda name: "other size" in name),
        ("flags", "none", lambda name: name.count(";") == 1),
        ("marks", "none", lambda name: "kept" not in name),
    ],
)
def test_a_filter_shows_what_fits_and_nothing_else(gallery: Reader, filter_: str, value: str, fits: object) -> None:
    assert callable(fits)
    all_names = gallery.names()
    gallery.choose(filter_, value)

    assert gallery.names() == [name for name in all_names if fits(name)] != []
    gallery.click("#clear") if gallery.names() != all_names else None
    assert gallery.names() == all_names


def test_two_values_of_one_filter_add_up_and_two_filters_narrow(gallery: Reader) -> None:
    gallery.choose("states", "failed", "stored")
    missing = gallery.names()
    gallery.choose("axis-model", "pro-wide")

    assert gallery.names() == [name for name in missing if "pro-wide" in name]
    assert {name.split("; ")[1] for name in missing} == {"failed", "stored"}


@pytest.mark.parametrize(
    ("words", "rows"),
    [("東京", 2), ("FOX oil", 1), ("row-1.ink", 1), ("stepfun", 0), ("flux-kontext-pro", 6)],
)
def test_words_are_found_in_prompts_names_and_ids(gallery: Reader, words: str, rows: int) -> None:
    gallery.press("/", *words)

    gallery.wait(lambda: f" in {rows} row" in gallery.text("#count"))
    assert bool(gallery.js("return document.getElementById('empty').hidden")) == (rows > 0)


def test_the_beginning_of_a_task_id_finds_it(gallery: Reader) -> None:
    task = gallery.js("return batchgen.data.id[3]")
    gallery.press("/", *task)

    gallery.wait(lambda: gallery.text("#count") == "1 cell in 1 row")


def test_earlier_pictures_are_hidden_until_they_are_asked_for(gallery: Reader) -> None:
    before = gallery.names()
    gallery.click("#earlier")

    assert len(gallery.names()) == len(before) + 3
    assert len(gallery.texts(".cell.is-earlier")) == 3


def test_the_address_keeps_the_view(gallery: Reader, page: Path) -> None:
    gallery.choose("axis-var:style", "oil")
    gallery.click("#earlier")
    arrange(gallery, "try", "pages")
    gallery.press("]")
    gallery.press("/", *"fox")
    gallery.wait(lambda: "find=fox" in gallery.driver.current_url)
    names, address = gallery.names(), gallery.driver.current_url

    gallery.open(page, address.split("#")[-1])

    assert gallery.names() == names != []
    assert gallery.js("return document.getElementById('earlier').checked") is True


@pytest.mark.parametrize(
    "view",
    [
        "rows=[]&columns=nonsense&page=-7",
        "rows=[%22__proto__%22,7,null]&only.model=%00&states=x",
        "page=1e9&rows=[%22model%22,%22model%22]",
    ],
)
def test_an_address_that_nobody_wrote_shows_a_gallery_all_the_same(gallery: Reader, page: Path, view: str) -> None:
    gallery.open(page, view)

    assert gallery.names()


def test_missing_cells_say_state_reason_and_price(gallery: Reader) -> None:
    gallery.choose("states", "failed")

    said = gallery.wait(lambda: [text for text in gallery.texts(".cell.is-failed") if "policy" in text])
    assert said[0] == "failedthe provider refused this prompt: its content policy names violenceprice CNY 0.35"
    assert gallery.js("return document.querySelectorAll('.cell.is-failed svg').length") == len(gallery.names())


def test_arrow_keys_lead_through_the_grid(gallery: Reader) -> None:
    found = []
    for key in (
        Keys.ARROW_RIGHT,
        Keys.ARROW_RIGHT,
        Keys.ARROW_DOWN,
        Keys.ARROW_LEFT,
        Keys.ARROW_UP,
        Keys.END,
        Keys.HOME,
    ):
        gallery.press(key)
        found.append(gallery.active().split(";")[0])

    assert found[0] == "row-0.ink, flux.1-dev, try 2"
    assert found[1] == "row-0.ink, pro-wide, try 1"
    assert found[2].startswith("row-0.oil, pro-wide")
    assert found[3].startswith("row-0.oil, flux.1-dev")
    assert found[5].startswith("row-0.ink, pro-wide")
    assert found[6] == "row-0.ink, flux.1-dev, try 1"


def test_the_grid_becomes_larger_and_smaller_and_stays_so(gallery: Reader, page: Path) -> None:
    high = "return document.querySelector('.cell').offsetHeight"
    before = gallery.js(high)
    gallery.press("+", "+")
    larger = gallery.js(high)
    gallery.press("-")

    assert before < gallery.js(high) < larger
    gallery.open(page)
    assert before < gallery.js(high) < larger


def test_the_lightbox_walks_shows_the_recipe_and_comes_back(gallery: Reader) -> None:
    gallery.press(Keys.ARROW_RIGHT, Keys.ENTER)
    gallery.wait(lambda: "Seed" in gallery.text("#facts"))

    assert gallery.text("#box-title") == "row-0.ink, flux.1-dev, try 2"
    for words in (
        "a quiet harbour, ink",
        "CNY 0.35 (play money)",
        "req-0000000d",
        "steps28",
        "styleink",
        "images/row-0.ink/",
    ):
        assert words in gallery.text("#facts")
    assert gallery.js("return document.activeElement.id") == "stage"
    gallery.wait(lambda: gallery.js("return document.querySelector('#pane-b img').naturalWidth") == 1216)

    gallery.press(Keys.ARROW_LEFT)
    assert gallery.text("#box-title") == "row-0.ink, flux.1-dev, try 1"
    gallery.press(Keys.ARROW_DOWN)
    assert gallery.text("#box-title") == "row-0.oil, flux.1-dev, try 1"
    gallery.press(Keys.ESCAPE)
    assert gallery.js("return document.getElementById('lightbox').open") is False
    assert gallery.active().startswith("row-0.oil, flux.1-dev, try 1")
    assert gallery.js("return document.activeElement.id") == "grid"


def test_a_missing_picture_says_why_in_the_lightbox_too(gallery: Reader) -> None:
    gallery.choose("states", "failed")
    gallery.press(Keys.ENTER)

    gallery.wait(lambda: "content policy" in gallery.text("#pane-b .pane-words"))
    assert gallery.js("return document.getElementById('box-keep').disabled") is True


def test_two_pictures_lie_side_by_side_or_take_turns_and_zoom_together(gallery: Reader) -> None:
    gallery.size(1280, 900, calm=True)
    gallery.press(Keys.ENTER, "a", Keys.ARROW_RIGHT, "s")
    stage = "const stage = document.getElementById('stage');"

    names = gallery.js("return [...document.querySelectorAll('.pane img')].map((each) => each.alt)")
    assert names == ["row-0.ink, flux.1-dev, try 1", "row-0.ink, flux.1-dev, try 2"]
    assert gallery.js(
        "return [...document.querySelectorAll('.pane')].map((each) => getComputedStyle(each).visibility)"
    ) == ["visible", "visible"]
    gallery.press("+")
    zoomed = gallery.js("return [...document.querySelectorAll('.pane img')].map((each) => each.style.transform)")
    assert zoomed[0] == zoomed[1]
    assert "scale(1.4)" in zoomed[0]

    gallery.press("b")
    assert gallery.js(stage + "return [stage.dataset.mode, stage.dataset.showing]") == ["blink", "b"]
    gallery.press("v")
    assert gallery.js(stage + "return stage.dataset.showing") == "a"
    assert gallery.js("return document.getElementById('pane-b').getAttribute('aria-hidden')") == "true"
    gallery.press("b")
    assert gallery.js(stage + "return stage.dataset.mode") == "one"


def test_blinking_happens_on_its_own_unless_the_reader_wants_calm(gallery: Reader) -> None:
    gallery.press(Keys.ENTER, "a", Keys.ARROW_RIGHT, "b")
    showing = "return document.getElementById('stage').dataset.showing"

    gallery.wait(lambda: gallery.js(showing) == "a")
    gallery.wait(lambda: gallery.js(showing) == "b")


def test_light_and_dark_follow_the_system_until_the_switch_says_otherwise(gallery: Reader, page: Path) -> None:
    paper = "return getComputedStyle(document.documentElement).backgroundColor"
    light = gallery.js(paper)
    gallery.size(1280, 900, dark=True)
    dark = gallery.js(paper)
    assert dark != light

    gallery.click("#theme")
    assert gallery.js(paper) == light
    gallery.open(page)
    assert gallery.js(paper) == light
    gallery.click("#theme")
    assert gallery.js(paper) == dark


def test_on_a_phone_nothing_is_wider_than_the_window_but_the_grid(gallery: Reader, page: Path) -> None:
    gallery.size(390, 844)
    gallery.open(page)

    assert gallery.js("return document.documentElement.scrollWidth") == 390
    assert gallery.js("return document.querySelector('.row-head').offsetWidth") == 390
    gallery.js("document.querySelector('.cell.is-stored').click()")
    assert gallery.js("return document.getElementById('lightbox').scrollWidth") <= 390


def test_headers_stay_in_sight_when_the_grid_is_scrolled(gallery: Reader) -> None:
    gallery.press("+", "+", "+", "+")
    gallery.js("document.getElementById('grid').scrollTo(300, 500)")
    gallery.wait(lambda: gallery.js("return document.getElementById('grid').scrollTop") == 500)
    tops = gallery.js("""
        const top = document.getElementById("grid").getBoundingClientRect();
        const column = document.querySelector(".column-head").getBoundingClientRect();
        const row = document.querySelector(".row-head").getBoundingClientRect();
        return [column.top - top.top, row.left - top.left];
    """)

    assert tops == [0, 0]


def test_every_control_has_a_name_and_the_keys_are_explained(gallery: Reader) -> None:
    nameless = gallery.js("""
        return [...document.querySelectorAll("button, input, select, [role=grid], [role=dialog], dialog, svg[role=img]")]
          .filter((each) => !(each.getAttribute("aria-label") || each.getAttribute("aria-labelledby") || each.textContent.trim() || each.labels?.length))
          .map((each) => each.outerHTML.slice(0, 120));
    """)
    gallery.press("?")

    assert nameless == []
    assert gallery.js("return document.getElementById('help-box').open") is True
    assert "keep" in gallery.text("#help-box")


def test_the_summary_counts_money_failures_and_keeps_as_they_are_made(gallery: Reader) -> None:
    gallery.press("k", Keys.ARROW_RIGHT, "x")
    gallery.click("#tab-summary")

    said = gallery.text("#summary")
    for words in (
        "Kept11 rejected",
        "CNY",
        "play money",
        "content policy",
        "flux.1-dev",
        "0.35 maybe billed",
        "2 h 21 min",
    ):
        assert words in said
    drawn = gallery.js(
        "return [...document.querySelectorAll('#summary svg.chart')].map((each) => each.getAttribute('aria-label'))"
    )
    assert [name.split(":")[0] for name in drawn] == [
        "Pictures per minute, last run",
        "Failures per model",
        "flux.1-dev",
        "pro-wide",
    ]
    rows = gallery.texts("#summary tbody tr")
    assert next(row for row in rows if row.startswith("ink")).endswith("11")


def test_nothing_is_asked_for_outside_of_the_folder(gallery: Reader, page: Path) -> None:
    gallery.press(Keys.ENTER, Keys.ARROW_RIGHT)
    gallery.wait(lambda: gallery.js("return document.querySelector('#pane-b img').naturalWidth") == 1216)
    requests = gallery.requests()

    assert any("/thumbs/" in url for url in requests)
    assert any("/images/" in url for url in requests)
    assert outside(requests, page.parents[1]) == []


def test_a_file_of_any_name_is_shown_and_linked(reader: Reader, tmp_path: Path) -> None:
    name = "images/a #1?x=%41&b/q\"<'夜 é;:@.jpg"
    wanted = Wanted(["odd"], models=1, tries=1, large=True, change=lambda detail: detail.update(file=name))
    reader.open(write_gallery(tmp_path, wanted))
    reader.press(Keys.ENTER)

    reader.wait(lambda: reader.js("return document.querySelector('#pane-b img.seen')?.naturalWidth") == 1216)
    assert reader.text("#facts a") == name
    assert outside(reader.requests(), tmp_path) == []


def test_a_row_whose_pictures_lie_aside_leads_to_them(reader: Reader, tmp_path: Path) -> None:
    page = write_gallery(tmp_path, Wanted(["a", "b", "c"], models=4, tries=4))
    reader.size(700, 800)
    reader.open(page, "rows=%5B%22row%22%5D&columns=%5B%22prompt%22%2C%22model%22%2C%22try%22%5D")
    assert reader.texts(".aside") == ["16 on the right"] * 2

    reader.click(".aside")

    assert reader.active().startswith("row-1, flux.1-dev, try 1")


def test_a_gallery_of_nothing_says_so(reader: Reader, tmp_path: Path) -> None:
    reader.open(write_gallery(tmp_path, Wanted([])))

    assert reader.text("#empty") == "Nothing was made yet."


def test_a_picture_whose_file_is_gone_says_so(reader: Reader, tmp_path: Path) -> None:
    wanted = Wanted(["gone"], models=1, tries=1)
    page = write_gallery(tmp_path, wanted)
    for thumb in tmp_path.rglob("*.webp"):
        thumb.unlink()
    reader.open(page)

    reader.wait(lambda: "file missing" in reader.text(".cell"))
    assert all("ERR_FILE_NOT_FOUND" in each for each in reader.complaints())
