"""What a user does wrong: the right exit code, a message that says what to do, and nothing spent."""

import os
import stat
from pathlib import Path

import pytest

from .conftest import Cli, Server, sandbox_process, write_job

GOOD = "prompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\n"

MISTAKES = {
    "an unknown model": (GOOD.replace("flux.1-dev", "flux-1-dev"), ["flux.1-dev", ":2:"]),
    "a size that does not exist": (GOOD + "params: {size: 2000x10}\n", ["2000x10", "256", "1536", ":3:"]),
    "a missing input picture": (
        "prompts:\n  - prompt: edit it\n    params: {image: photos/none.png}\nmodels: [black-forest-labs/flux-kontext-pro]\n",
        ["none.png", "flux-kontext-pro"],
    ),
    "a tab": ("prompts:\n\t- a lamp\nmodels: [black-forest-labs/flux.1-dev]\n", ["tab", ":2:"]),
    "a duplicate key": (GOOD + "prompts: [another]\n", ["prompts", ":3:"]),
    "a negative seed": (GOOD + "seeds: -5\n", ["seeds", ":3:"]),
    "an empty prompt": ("prompts: ['']\nmodels: [black-forest-labs/flux.1-dev]\n", ["empty", ":1:"]),
    "an unquoted brace": ("prompts:\n  - {style} city\nmodels: [black-forest-labs/flux.1-dev]\n", ["{style} city", '"', ":2:"]),
    "a prompt cut by a comment": ("prompts:\n  - a lamp #3 in blue\nmodels: [black-forest-labs/flux.1-dev]\n", ["#3 in blue", ":2:"]),
    "an unknown key": (GOOD + "seedz: 3\n", ["seedz", "seeds", ":3:"]),
    "an unknown variable": ("prompts: ['a {styl} lamp']\nvars: {style: [ink]}\nmodels: [black-forest-labs/flux.1-dev]\n", ["styl", "style"]),
    "a key in the file": (GOOD + "api_key: sk-123456789012345678\n", ["api_key", "environment"]),
    "an empty file": ("", ["empty"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_the_job_is_shown_with_its_place_and_nothing_is_sent(
    text: str, words: list[str], cli: Cli, tmp_path: Path
) -> None:
    job = write_job(tmp_path, text)

    ran = cli("run", job, base_url="http://127.0.0.1:9/v1")

    assert ran.code == 2, ran.err
    assert all(word in ran.err for word in words), ran.err
    assert not (tmp_path / "outputs").exists()


def test_all_mistakes_are_shown_at_once(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "prompts: ['', '{who}']\nmodels: [flux, step]\nsedes: 1\n")

    ran = cli("validate", job)

    assert ran.code == 2
    assert ran.err.count(str(job)) >= 4


def test_a_job_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    write_job(tmp_path, GOOD)

    ran = cli("run", tmp_path / "jobs" / "fo.yaml")

    assert ran.code == 2
    assert "foo.yaml" in ran.err


def test_no_key_says_which_variable_and_sends_nothing(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD)

    ran = cli("run", job, base_url=sandbox.base_url, key="")

    assert ran.code == 7
    assert "MODELVERSE_API_KEY" in ran.err
    assert sandbox.bill()["requests"] == 0


def test_a_wrong_key_stops_after_the_calls_in_flight_and_costs_nothing(cli: Cli, tmp_path: Path) -> None:
    prompts = "".join(f"  - lamp {number}\n" for number in range(100))
    job = write_job(tmp_path, f"prompts:\n{prompts}models: [black-forest-labs/flux.1-dev]\n")
    with sandbox_process(tmp_path, "--key", "sk-another") as server:
        ran = cli("run", job, base_url=server.base_url)
        bill = server.bill()

    assert ran.code == 7, ran.err
    assert "key" in ran.err
    assert bill["pictures"] == 0
    assert bill["requests"] <= 16


def test_a_folder_that_cannot_be_written(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD)
    if os.geteuid() == 0:  # permissions do not stop root; a file in the folder's place does
        (tmp_path / "outputs").write_text("in the way")
    else:
        (tmp_path / "outputs").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)

    ran = cli("run", job, base_url=sandbox.base_url)

    assert ran.code == 6, ran.err
    assert "outputs" in ran.err
    assert sandbox.bill()["requests"] == 0


def test_a_host_that_cannot_be_reached(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD + "limits: {give_up_after: 1s}\n")

    ran = cli("run", job, base_url="http://127.0.0.1:9/v1")

    assert ran.code == 4, ran.err
    assert "127.0.0.1:9" in ran.err
    assert f"batchgen run {job}" in ran.err


def test_a_port_that_answers_with_a_web_page_says_what_was_spent(cli: Cli, tmp_path: Path) -> None:
    prompts = "".join(f"  - lamp {number}\n" for number in range(100))
    job = write_job(
        tmp_path,
        f"prompts:\n{prompts}models: [black-forest-labs/flux.1-dev]\nlimits: {{give_up_after: 1s}}\n",
    )
    with sandbox_process(tmp_path, "--faults", "html") as server:
        ran = cli("run", job, base_url=server.base_url)

    assert ran.code == 4, ran.err
    assert "web page" in ran.err
    assert "spent" in ran.err


def test_a_pasted_request_body_is_told_what_a_job_looks_like(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, "model: black-forest-labs/flux.1-dev\nprompt: a lamp\nsteps: 20\n")

    ran = cli("validate", job)

    assert ran.code == 2
    assert "prompts:" in ran.err
    assert "models:" in ran.err


def test_a_ledger_that_is_gone_is_not_replaced_in_silence(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "foo"
    job = write_job(tmp_path, GOOD)
    cli("run", job, base_url=sandbox.base_url)
    for file in folder.glob("ledger.sqlite3*"):
        file.unlink()

    refused = cli("run", job, base_url=sandbox.base_url)
    rebuilt = cli("verify", folder, "--rebuild")
    again = cli("run", job, base_url=sandbox.base_url)

    assert refused.code == 6
    assert "--rebuild" in refused.err
    assert rebuilt.code == 0
    assert again.code == 0
    assert sandbox.bill()["pictures"] == 1


def test_usage_mistakes_exit_with_two(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD)

    for arguments in (
        ["rum", job],
        ["run"],
        ["run", job, "--limit", "none"],
        ["run", job, "--max-cost", "lots"],
        [job],
    ):
        ran = cli(*arguments)
        assert ran.code == 2, (arguments, ran.err)
        assert ran.err
