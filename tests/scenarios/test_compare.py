"""Two nights of the same job side by side: what changed, for a person, for a script and on a page that runs nothing foreign."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from .conftest import KEY, Cli, Ran, Server, bare_environment, manifest, sandbox_process, write_job

EVIL = '"><img src=x onerror=alert(1)></script><script>document.title="owned"</script>'
JOB = f"""\
prompts:
  - {{id: 狐狸, prompt: 雪地里的红狐狸，水墨画风格}}
  - {{id: evil, literal: true, prompt: '{EVIL}'}}
  - {{id: changing, prompt: a lamp on a table}}
  - {{id: refused, prompt: "[[fault:400-content]] something else"}}
models:
  - {{id: black-forest-labs/flux.1-dev, params: {{size: 640x480}}}}
  - {{id: black-forest-labs/flux-kontext-pro/text-to-image, label: wide}}
seeds: {{count: 2}}
"""


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Output folders of one job: on the second night the lamp is another picture, and the fox half as large."""
    home = tmp_path_factory.mktemp("nights")
    faults = ("", "picture-same~lamp,picture-wrong-size~狐狸")
    for night, fault in zip(("monday", "tuesday"), faults, strict=True):
        job = write_job(home, JOB + f"output: {{folder: outputs/{night}}}\n", f"{night}.yaml")
        with sandbox_process(home, "--scale", "0.3", *(("--faults", fault) if fault else ())) as server:
            variables = {"MODELVERSE_API_KEY": KEY, "MODELVERSE_BASE_URL": server.base_url}
            command = [sys.executable, "-m", "batchgen", "run", str(job), "--quiet"]
            ran = subprocess.run(command, env=bare_environment(home, **variables), check=False, capture_output=True)
        assert ran.returncode == 3, ran.stderr
    return home / "outputs" / "monday", home / "outputs" / "tuesday"


@pytest.fixture
def pair(nights: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Copies that a test may damage."""
    folders = tmp_path / "monday", tmp_path / "tuesday"
    for made, copy in zip(nights, folders, strict=True):
        shutil.copytree(made, copy)
    return folders


def lines(ran: Ran) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    *pairs, summary = ran.events
    assert summary["kind"] == "summary"
    return pairs, summary


def test_a_script_learns_which_pictures_changed_and_by_how_much_the_most_changed_first(
    cli: Cli, nights: tuple[Path, Path]
) -> None:
    ran = cli("compare", *nights, "--json")

    pairs, summary = lines(ran)
    changed = [each for each in pairs if each["changed"]]
    assert ran.code == 3
    ids = {each["prompt_id"] for each in changed}
    assert len([each for each in changed if each["prompt_id"] == "changing"]) == 4
    assert ids <= {"changing", "狐狸"}
    bits = [each["difference"] for each in pairs if each["difference"] is not None]
    assert bits == sorted(bits, reverse=True)
    assert [each["kind"] for each in pairs] == ["pair"] * 16
    assert (summary["pairs"], summary["compared"], summary["changed"]) == (16, 12, len(changed))
    assert summary["resized"] == 4
    assert summary["same_bytes"] == 4
    assert [each["compared"] for each in summary["models"]] == [6, 6]
    assert sum(each["changed"] for each in summary["models"]) == len(changed)
    assert {each["a"]["state"] for each in pairs if each["prompt_id"] == "refused"} == {"failed"}
    assert all(each["a"]["task_id"] == each["b"]["task_id"] for each in pairs)
    fox = next(each for each in pairs if each["prompt_id"] == "狐狸")
    assert fox["resized"]
    assert fox["b"]["width"] < fox["a"]["width"]
    assert not (nights[1] / "compare").exists()


def test_a_person_reads_a_table_of_eighty_columns_with_the_question_to_ask(cli: Cli, pair: tuple[Path, Path]) -> None:
    ran = cli("compare", *pair)

    assert ran.code == 3
    assert max(map(len, ran.out.splitlines())) <= 80 or str(pair[0]) in ran.out
    said = " ".join(ran.out.split())
    assert "did the provider change the model?" in said
    assert re.search(r"flux\.1-dev: [2-4] of 6", said)
    assert re.search(r"wide: [2-4] of 6", said)
    assert "4 pairs more: the same bytes in both" in said
    assert "\x1b" not in ran.out
    assert ran.err == f"look at it: {pair[1] / 'compare' / 'monday' / 'index.html'}\n"


def test_the_exit_code_is_about_the_threshold_alone(cli: Cli, nights: tuple[Path, Path]) -> None:
    assert cli("compare", *nights, "--json", "--threshold", "4").code == 3
    assert cli("compare", *nights, "--json", "--threshold", "64").code == 0
    assert cli("compare", nights[0], nights[0], "--json", "--threshold", "0").code == 0


def test_nothing_of_the_two_folders_is_changed_but_the_page(cli: Cli, pair: tuple[Path, Path], tmp_path: Path) -> None:
    def contents() -> dict[str, bytes]:
        files = (
            path for folder in pair for path in folder.rglob("*") if path.is_file() and "sqlite3-" not in path.name
        )
        return {str(path): path.read_bytes() for path in files}

    before = contents()

    cli("compare", *pair, "--output", tmp_path / "page")

    assert contents() == before
    assert (tmp_path / "page" / "index.html").exists()


def test_a_manifest_alone_is_enough_and_looks_are_taken_from_the_files(cli: Cli, pair: tuple[Path, Path]) -> None:
    whole = cli("compare", *pair, "--json")
    for path in pair[0].glob("ledger.sqlite3*"):
        path.unlink()

    ran = cli("compare", *pair, "--json")

    pairs, summary = lines(ran)
    assert ran.code == 3
    assert (summary["compared"], summary["changed"]) == (12, whole.events[-1]["changed"])
    assert (summary["only_in_a"], summary["only_in_b"]) == (0, 4)
    assert [each["picture"]["state"] for each in pairs if each["kind"] == "only"] == ["failed"] * 4
    measured = {(each["b"]["task_id"], each["difference"]) for each in pairs if each["kind"] == "pair"}
    assert measured <= {(each["b"]["task_id"], each["difference"]) for each in whole.events[:-1]}


def test_a_ledger_that_knows_the_looks_is_believed_and_no_file_is_opened(cli: Cli, pair: tuple[Path, Path]) -> None:
    for folder in pair:
        with sqlite3.connect(folder / "ledger.sqlite3") as ledger:
            columns = {row[1] for row in ledger.execute("PRAGMA table_info(pictures)")}
            if "look" not in columns:
                ledger.execute("ALTER TABLE pictures ADD COLUMN look INTEGER")
            ledger.execute("UPDATE pictures SET look = -1 WHERE state = 'stored'")
        ledger.close()
        shutil.rmtree(folder / "images")

    _pairs, summary = lines(cli("compare", *pair, "--json"))

    assert (summary["compared"], summary["changed"]) == (12, 0)


def test_a_missing_file_leaves_a_pair_that_cannot_be_compared(cli: Cli, pair: tuple[Path, Path]) -> None:
    for folder in pair:
        with sqlite3.connect(folder / "ledger.sqlite3") as ledger:
            if "look" in {row[1] for row in ledger.execute("PRAGMA table_info(pictures)")}:
                ledger.execute("UPDATE pictures SET look = NULL")
        ledger.close()
    gone = next(row for row in manifest(pair[1]) if row["row"] == "changing")
    (pair[1] / gone["file_name"]).unlink()

    pairs, summary = lines(cli("compare", *pair, "--json"))

    assert (summary["pairs"], summary["compared"]) == (16, 11)
    assert next(each for each in pairs if each["b"]["task_id"] == gone["task_id"])["difference"] is None


def test_nights_with_other_seeds_are_paired_by_their_words_and_that_is_said(
    cli: Cli, sandbox: Server, tmp_path: Path
) -> None:
    folders = []
    for night in ("2026-05-30", "2026-05-31"):
        text = JOB.replace("seeds: {count: 2}", "seeds: {count: 2, renew: daily}")
        job = write_job(tmp_path, text + f"output: {{folder: outputs/{night}}}\n", f"{night}.yaml")
        assert cli("run", job, "--night", night, "--quiet", base_url=sandbox.base_url).code == 3
        folders.append(tmp_path / "outputs" / night)

    ran = cli("compare", *folders, "--json")

    pairs, summary = lines(ran)
    assert summary["paired_by"] == "words"
    assert (summary["pairs"], summary["only_in_a"], summary["only_in_b"]) == (16, 0, 0)
    assert "No task is in both folders: paired by prompt, model, variables and try instead" in summary["words"][0]
    assert "provider" not in summary["words"][-1]
    assert all(each["a"]["seed"] != each["b"]["seed"] for each in pairs)


def test_folders_with_nothing_in_common_and_empty_ones_are_a_mistake_in_words(
    cli: Cli, nights: tuple[Path, Path], sandbox: Server, tmp_path: Path
) -> None:
    job = write_job(
        tmp_path,
        "prompts: [something else]\nmodels: [black-forest-labs/flux.1-dev]\nparams: {size: 256x256}\n",
    )
    assert cli("run", job, "--quiet", base_url=sandbox.base_url).code == 0
    (tmp_path / "empty").mkdir()

    other = cli("compare", nights[0], job)
    empty = cli("compare", nights[0], tmp_path / "empty")

    assert (other.code, empty.code) == (2, 2)
    assert "have no picture in common" in other.err
    assert "neither a ledger nor a manifest" in empty.err


def test_a_page_of_somebody_else_is_not_replaced_and_no_planted_link_is_followed(
    cli: Cli, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    page = tmp_path / "mine"
    page.mkdir()
    (page / "index.html").write_text("my own page")

    refused = cli("compare", *pair, "--output", page)

    assert refused.code == 2
    assert (page / "index.html").read_text() == "my own page"
    (pair[1] / "compare").symlink_to(page)
    assert cli("compare", *pair).code == 6
    assert sorted(path.name for path in page.iterdir()) == ["index.html"]


def test_a_second_comparison_takes_the_place_of_the_first(cli: Cli, pair: tuple[Path, Path]) -> None:
    data = pair[1] / "compare" / "monday" / "data"
    data.mkdir(parents=True)
    (data / "pairs-7.js").write_text("comparison.pairs(7, [])")

    cli("compare", *pair)
    cli("compare", *pair)

    assert sorted(path.name for path in data.iterdir()) == ["pairs-0.js", "summary.js"]


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_window_size(1280, 900)
    try:
        yield driver
    finally:
        driver.quit()


def logged(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


def requested(browser: webdriver.Chrome) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    sent = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    return [url for url in sent if not url.startswith(("data:", "chrome:"))]


def until(browser: webdriver.Chrome, script: str) -> Any:
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 20, 0.05).until(lambda driver: driver.execute_script(f"return {script}"))


def test_the_page_shows_pairs_with_a_slider_for_the_keyboard_and_asks_for_nothing_outside_the_two_folders(
    cli: Cli, pair: tuple[Path, Path], browser: webdriver.Chrome
) -> None:
    cli("compare", *pair)
    browser.get((pair[1] / "compare" / "monday" / "index.html").as_uri())
    until(browser, "document.querySelectorAll('.pair').length === 16")

    cards = browser.find_elements(By.CSS_SELECTOR, ".pair")
    assert [card.get_attribute("class") for card in cards[:4]] == ["pair changed"] * 4
    cards[0].find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    until(browser, "document.getElementById('viewer').open && document.getElementById('picture-a').naturalWidth > 0")
    slider = browser.switch_to.active_element
    assert slider.get_attribute("id") == "slider"
    slider.send_keys(Keys.ARROW_LEFT * 10)
    assert (
        browser.execute_script("return getComputedStyle(document.getElementById('frame')).getPropertyValue('--at')")
        == "40%"
    )
    slider.send_keys("b")
    assert slider.get_attribute("value") == "0"
    slider.send_keys("b")
    assert slider.get_attribute("value") == "100"
    first = browser.find_element(By.ID, "viewer-title").text
    slider.send_keys("n")
    assert browser.find_element(By.ID, "viewer-title").text != first
    slider.send_keys("p")
    assert browser.find_element(By.ID, "viewer-title").text == first
    slider.send_keys(Keys.ESCAPE)
    until(browser, "!document.getElementById('viewer').open")
    assert browser.execute_script("return document.activeElement === document.querySelector('.pair button')")
    inside = [folder.as_uri() + "/" for folder in pair]
    assert [url for url in requested(browser) if not url.startswith(tuple(inside))] == []
    assert logged(browser, "browser") == []


def test_a_hostile_prompt_is_text_on_the_page_and_nothing_else(
    cli: Cli, pair: tuple[Path, Path], browser: webdriver.Chrome
) -> None:
    cli("compare", *pair)
    browser.get((pair[1] / "compare" / "monday" / "index.html").as_uri())
    until(browser, "document.querySelectorAll('.pair').length === 16")

    shown = [each.text for each in browser.find_elements(By.CSS_SELECTOR, ".what")]
    assert sum(EVIL[:20] in text for text in shown) == 4
    assert browser.title.startswith("monday → tuesday: ")
    assert browser.execute_script("return document.querySelectorAll('img[src=x], main script').length") == 0
    browser.find_element(By.CSS_SELECTOR, "[data-kind=lacking]").click()
    assert browser.find_element(By.CSS_SELECTOR, ".none").text.startswith("failed")
    browser.find_element(By.CSS_SELECTOR, "[data-kind=all]").click()
    browser.find_element(By.ID, "find").send_keys("狐狸")
    until(browser, "document.querySelectorAll('.pair').length === 4")
    assert logged(browser, "browser") == []


def test_a_strangers_ledger_names_no_file_outside_of_its_folder(
    cli: Cli, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    secret = tmp_path / "secret.png"
    shutil.copy(next((pair[0] / "images").rglob("*.[jp][pn]g")), secret)
    (pair[0] / "images" / "out").symlink_to(tmp_path)
    names = ["../secret.png", str(secret), "images/out/secret.png", "images/../../secret.png", "javascript:alert(1)"]
    with sqlite3.connect(pair[0] / "ledger.sqlite3") as ledger:
        rows = [row[0] for row in ledger.execute("SELECT picture_id FROM pictures WHERE state = 'stored'")]
        for picture, name in zip(rows, names, strict=False):
            ledger.execute(
                "UPDATE pictures SET file_name = ?, source_sha256 = '../../../../secret' WHERE picture_id = ?",
                (name, picture),
            )
    ledger.close()

    ran = cli("compare", *pair)

    pages = pair[1] / "compare" / "monday" / "data" / "pairs-0.js"
    assert ran.code in {0, 3}
    assert "secret" not in pages.read_text()
    assert "javascript:" not in pages.read_text()
    assert pages.read_text().count('"state":"missing"') == len(names)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE tasks SET record = '[]'",
        "UPDATE tasks SET record = '{\"prompt\": 1}'",
        "UPDATE pictures SET width = 'wide', flags = '7'",
        "UPDATE pictures SET flags = '{{{'",
    ],
)
def test_a_ledger_of_nonsense_is_said_in_words(cli: Cli, pair: tuple[Path, Path], damage: str) -> None:
    with sqlite3.connect(pair[0] / "ledger.sqlite3") as ledger:
        ledger.execute(damage)
    ledger.close()

    ran = cli("compare", *pair)

    assert ran.code == 6
    assert "cannot be read" in ran.err


def test_the_page_is_for_this_user_alone(cli: Cli, pair: tuple[Path, Path]) -> None:
    cli("compare", *pair)

    files = [path for path in (pair[1] / "compare").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
