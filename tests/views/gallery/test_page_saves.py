"""What leaves the page: marks that are remembered and saved, jobs that the command line takes; over hostile texts."""

import functools
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from selenium.webdriver.common.keys import Keys

from batchgen.spec.expand import expand
from batchgen.spec.load import load_job
from batchgen.spec.task import Task
from batchgen.views.gallery.build import build_gallery
from batchgen.views.marks import read_marks

from .browser import Reader, needs_chromium, outside
from .synthetic import Wanted, png, write_gallery

pytestmark = needs_chromium

HOSTILE = "\"><img src=x onerror=alert(1)> </script><script>alert(2)</script> {{a}} {b}: yes # no\n\ttwo lines \\ 'q' \u0085\u2028\u200b ${x}"
JOB = r"""
provider: sandbox
prompts:
  - id: evil
    literal: true
    prompt: PROMPT
    model: "*flux.1-dev"
    params: {size: 256x256, guidance_scale: 4}
  - {id: rain, prompt: "雨の夜の東京、{style}、😀 傘", model: dev 1, params: {size: 256x256}}
  - {id: odd, prompt: refused, model: dev 1, seed: 7, extra_params: {"odd: key": {"a": [1.50, 'x: "y"', null, true]}}}
  - {id: edit, prompt: put the mug on a table, model: "*-pro", params: {image: "products/mug #1.png"}}
vars: {style: [ink, "oil: thick, #1"]}
models:
  - {id: black-forest-labs/flux.1-dev, label: dev 1, params: {steps: 2}}
  - black-forest-labs/flux-kontext-pro
seeds: {count: 2}
"""


def batchgen(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "batchgen", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The job file of a folder that was really made."""
    folder = tmp_path_factory.mktemp("really # made")
    (folder / "jobs" / "products").mkdir(parents=True)
    (folder / "jobs" / "products" / "mug #1.png").write_bytes(png(300, 300))
    job = folder / "jobs" / "night's 夜.yaml"
    job.write_text(JOB.replace("PROMPT", json.dumps(HOSTILE)), encoding="utf-8")
    done = batchgen("run", "--quiet", job)
    assert done.returncode == 3, done.stderr  # the sandbox refuses what no interface has
    build_gallery(load_job(job, environment={}).output.folder, load_job(job, environment={}))
    return job


@pytest.fixture
def real(reader: Reader, made: Path) -> Iterator[Reader]:
    """A reader before that folder's gallery."""
    reader.open(folder_of(made) / "gallery" / "index.html")
    yield reader
    reader.js("localStorage.clear()")


def folder_of(job: Path) -> Path:
    return load_job(job, environment={}).output.folder


def tasks_of(job: Path) -> list[Task]:
    return list(expand(load_job(job, environment={}), night=""))


def keep_all(reader: Reader) -> None:
    reader.js("for (let cell = 0; cell < batchgen.data.size; cell += 1) batchgen.marks.set(cell, 'keep')")


def copied(reader: Reader) -> str:
    """What is on the clipboard, pasted."""
    reader.js("""
        const area = document.createElement("textarea");
        area.id = "pasted";
        (document.querySelector("dialog[open]") || document.body).append(area);
        area.focus();
    """)
    reader.paste()
    text = str(reader.wait(lambda: reader.js("return document.getElementById('pasted').value")))
    reader.js("document.getElementById('pasted').remove(); document.getElementById('stage').focus()")
    return text


def test_marks_survive_a_reload_and_can_be_taken_away(real: Reader, made: Path) -> None:
    real.press("k", Keys.ARROW_RIGHT, "x", Keys.ENTER, Keys.ARROW_DOWN, "k", "u")
    real.press(Keys.ESCAPE)
    marked = [name for name in real.names() if "kept" in name or "rejected" in name]

    real.open(folder_of(made) / "gallery" / "index.html")

    assert [name for name in real.names() if "kept" in name or "rejected" in name] == marked
    assert [name.split("; ")[2] for name in marked] == ["kept", "rejected"]
    assert "1 kept" in real.text("#line")


def test_the_same_key_again_takes_a_mark_away_and_shift_goes_on(real: Reader) -> None:
    real.press("k", "k")
    assert not any("kept" in name for name in real.names())

    real.press(Keys.ENTER, "K", "X")
    real.press(Keys.ESCAPE)
    assert [name.split("; ")[2:] for name in real.names()[:2]] == [["kept"], ["rejected"]]


def test_a_browser_that_keeps_nothing_says_so_and_marks_all_the_same(reader: Reader, tmp_path: Path) -> None:
    page = write_gallery(tmp_path, Wanted(["a heron"]))
    forbid = (
        "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied', 'SecurityError'); }})"
    )
    script = reader.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": forbid})
    try:
        reader.open(page)
        reader.press("k")

        assert reader.names()[0].endswith("kept")
        assert reader.js("return document.getElementById('unkept').hidden") is False
    finally:
        reader.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_saved_marks_are_those_of_page_and_folder_and_the_verbs_read_them(reader: Reader, tmp_path: Path) -> None:
    stranger = "f" * 64 + "-1"
    page = write_gallery(tmp_path, Wanted(["a heron", "a crane"], tries=3, marks={stranger: "keep"}))
    reader.open(page)
    reader.press("k", Keys.ARROW_RIGHT, "x")
    reader.click("#save")
    reader.click("#save-marks")
    (tmp_path / "marks.json").write_text(reader.saved("marks.json"))
    tasks = reader.js("return batchgen.data.detailFile(0).then((all) => all.map((each) => each.task))")

    saved = json.loads((tmp_path / "marks.json").read_text())
    assert (saved["batchgen"], saved["job"]) == ("marks/1", "synthetic")
    assert dict(read_marks(tmp_path / "marks.json")) == {
        stranger: "keep",
        f"{tasks[0]}-1": "keep",
        f"{tasks[4]}-1": "reject",
    }
    reader.js("localStorage.clear()")


def test_marks_of_the_folder_are_shown_and_what_the_browser_remembers_wins(real: Reader, made: Path) -> None:
    folder, page = folder_of(made), folder_of(made) / "gallery" / "index.html"
    real.press("x")
    real.press(Keys.ARROW_RIGHT, "k")
    real.click("#save")
    real.click("#save-marks")
    (folder / "marks.json").write_text(real.saved("marks.json"))
    try:
        build_gallery(folder, load_job(made, environment={}))
        real.js("localStorage.clear()")
        real.open(page)
        assert [name.split("; ")[2:] for name in real.names()[:2]] == [["rejected"], ["kept"]]
        real.press("u")
        real.open(page)
        assert [name.split("; ")[2:] for name in real.names()[:2]] == [[], ["kept"]]
    finally:
        (folder / "marks.json").unlink()
        build_gallery(folder, load_job(made, environment={}))


def test_the_job_of_more_is_valid_whatever_the_prompts_hold(real: Reader, made: Path) -> None:
    keep_all(real)
    real.click("#save")
    real.js("document.getElementById('tries').value = 3")
    real.click("#save-job")
    job = made.parent / "night-s-夜-more.yaml"
    job.write_text(real.saved(job.name), encoding="utf-8")

    done = batchgen("validate", job)
    assert done.returncode == 0, done.stderr
    tasks, before = tasks_of(job), [task for task in tasks_of(made) if task.prompt != "refused"]
    assert len(tasks) == 8 * 3
    assert {(task.prompt, task.model, task.label) for task in tasks} == {
        (task.prompt, task.model, task.label) for task in before
    }
    assert HOSTILE in {task.prompt for task in tasks}
    assert not {(task.prompt, task.seed) for task in tasks} & {(task.prompt, task.seed) for task in before}
    assert len({task.task_id for task in tasks} | {task.task_id for task in before}) == 8 * 3 + 8
    assert any("image" in task.params for task in tasks)


def test_new_seeds_are_none_that_the_gallery_has_and_differ_among_kept_tries(reader: Reader, tmp_path: Path) -> None:
    step = 1640531527

    def in_steps(detail: dict[str, Any]) -> None:
        detail["seed"] = (detail["try"] - 1) * step % 2147483647

    reader.open(write_gallery(tmp_path, Wanted(["a heron"], models=1, tries=3, change=in_steps)))
    reader.press("k", Keys.ARROW_RIGHT, "k")
    rows = yaml.safe_load(reader.js("return batchgen.job.more(3).then(({ text }) => text)"))["prompts"]
    reader.js("localStorage.clear()")

    old = [number * step % 2147483647 for number in range(3)]
    assert [len(row["seed"]) for row in rows] == [3, 3]
    assert len({*old, *rows[0]["seed"], *rows[1]["seed"]}) == 9
    assert rows[0]["id"] != rows[1]["id"]


def test_the_job_of_more_runs(real: Reader, made: Path) -> None:
    keep_all(real)
    real.click("#save")
    real.js("document.getElementById('tries').value = 1")
    real.click("#save-job")
    job = made.parent / "again.yaml"
    job.write_text(real.saved("night-s-夜-more.yaml"), encoding="utf-8")

    done = batchgen("run", job, "--quiet")

    assert done.returncode == 0, done.stderr
    assert len((folder_of(job) / "manifest.jsonl").read_text().splitlines()) == 8


def test_a_picture_copied_as_a_job_is_the_same_task(real: Reader, made: Path, tmp_path: Path) -> None:
    texts = []
    for cell in range(9):
        real.js("batchgen.lightbox.open(arguments[0])", cell)
        real.wait(lambda: "Seed" in real.text("#facts"))
        real.press("c")
        real.wait(lambda: "Copied" in real.text("#lightbox .said"))
        real.js("document.querySelector('#lightbox .said').textContent = ''")
        texts.append(copied(real))
        real.press(Keys.ESCAPE)
        real.wait(lambda: real.js("return batchgen.lightbox.cell") == -1)
    ids = []
    for number, text in enumerate(texts):
        job = tmp_path / f"{number}.yaml"
        job.write_text(text, encoding="utf-8")
        (task,) = tasks_of(job)
        ids.append(task.task_id)

    assert ids == [task.task_id for task in tasks_of(made)]


def test_a_browser_without_a_clipboard_copies_in_the_old_way_or_by_hand(real: Reader) -> None:
    real.press(Keys.ENTER)
    real.wait(lambda: "Seed" in real.text("#facts"))
    real.js("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    real.press("c")
    real.wait(lambda: "Copied" in real.text("#lightbox .said"))
    assert copied(real).startswith("# One picture again")

    real.js("document.execCommand = () => false")
    real.press("c")
    by_hand = real.wait(lambda: real.js("return document.querySelector('.by-hand')?.value"))
    assert yaml.safe_load(by_hand)["prompts"][0]["literal"] is True


def _hostile(detail: dict[str, Any]) -> None:
    detail.update(
        {name: f"{HOSTILE} {name}" for name in ("prompt", "negative", "request_id", "message", "class", "format", "run", "cost")},
        prompt_id="<b onclick=alert(3)>", label="flux.1-dev</option><script>alert(4)</script>", row="__proto__",
        vars={"</script>": "<svg onload=alert(5)>", "constructor": "__proto__"}, params={"__proto__": 1, "<i>": HOSTILE},
        file="../../../../etc/passwd", flags=["<u>"],
    )  # fmt: skip


def test_no_text_is_ever_markup(reader: Reader, tmp_path: Path) -> None:
    wanted = Wanted(
        ["a"], job="</title><script>alert(6)</script>", failing=2, flagged=1, change=_hostile, tries=4, large=True
    )
    page = write_gallery(tmp_path, wanted)
    reader.open(page)
    reader.js("document.getElementById('arrange').click(); document.getElementById('save').click()")
    reader.press(Keys.ESCAPE)
    reader.js("document.getElementById('grid').focus()")
    reader.press(Keys.ENTER)
    reader.wait(lambda: "alert(1)" in reader.text("#facts"))
    links = reader.js("return [...document.querySelectorAll('a')].map((each) => each.href)")
    reader.press("k", Keys.ARROW_RIGHT)
    reader.press(Keys.ESCAPE)
    reader.click("#tab-summary")
    foreign = reader.js("""
        return [...document.querySelectorAll("script:not([src]), b[onclick], [onerror], [onload], u, i")].length
             + document.querySelectorAll("script").length - 16;
    """)

    assert foreign == 0
    assert links == []
    assert reader.driver.title.startswith("</title><script>")
    assert outside(reader.requests(), tmp_path) == []


def test_the_policy_of_the_page_lets_no_other_script_run_and_no_request_leave(reader: Reader, tmp_path: Path) -> None:
    reader.open(write_gallery(tmp_path, Wanted(["a"])))
    blocked = reader.js("""
        window.violations = [];
        document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.effectiveDirective));
        const sinks = {
          markup: () => (document.body.innerHTML = "<b>x</b>"),
          eval: () => window.eval("1 + 1"),
          script: () => { document.createElement("script").src = "data/index.js"; },
        };
        setTimeout(() => { // on the page's own account: what the driver runs itself is under no policy
          for (const [name, sink] of Object.entries(sinks)) {
            try { sink(); window.violations.push(name + " ran"); } catch { window.violations.push(name + " stopped"); }
          }
        });
        const image = new Image();
        image.src = "http://127.0.0.1:9/leak.png";
        fetch("http://127.0.0.1:9/leak").catch(() => {});
        const inline = document.createElement("script");
        try { inline.text = "window.ran = true"; } catch { /* as it should be */ }
        document.head.append(inline);
        const style = document.createElement("style");
        style.textContent = "body { background: red }";
        document.head.append(style);
        return null;
    """)
    assert blocked is None

    seen = reader.wait(
        lambda: (
            {"img-src", "connect-src"} <= set(reader.js("return window.violations"))
            and reader.js("return window.violations")
        )
    )
    assert {"markup stopped", "eval stopped", "script stopped"} <= set(seen)
    assert reader.js("return window.ran") is None
    reader.complaints()


def test_the_page_works_over_http_too(reader: Reader, made: Path) -> None:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder_of(made)))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}/"
        reader.open(root + "gallery/index.html")
        reader.press(Keys.ENTER)
        reader.wait(lambda: reader.js("return document.querySelector('#pane-b img.seen')?.naturalWidth") == 256)
        requests = reader.requests()
        reader.driver.get("about:blank")
        server.shutdown()

    assert [url for url in requests if not url.startswith(root)] in ([], ["about:blank"])
    assert not [each for each in reader.complaints() if "favicon" not in each]
