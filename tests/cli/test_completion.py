"""Completion as the shells do it: each one sources the script and is asked what may come next."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from batchgen.catalog.catalog import load_provider
from batchgen.cli.main import cli

Complete = Callable[..., list[str]]
JOB = """\
prompts: [{id: fox, prompt: "a fox, {style}"}]
vars: {style: {ink: black ink, oil: oil paint}}
models: [black-forest-labs/flux.1-dev, {id: black-forest-labs/flux.1-dev, label: second}]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with two jobs, an output folder and other files, in which `batchgen` is a command."""
    for name in ("jobs/one.yaml", "jobs/two.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(JOB)
    (tmp_path / "jobs" / "photo.png").write_bytes(b"x")
    (tmp_path / "outputs" / "one").mkdir(parents=True)
    (tmp_path / "outputs" / "one" / "ledger.sqlite3").touch()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "batchgen"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m batchgen "$@"\n')
    program.chmod(0o755)
    return tmp_path


def shell(home: Path, *words: str) -> str:
    environment = {"PATH": f"{home / 'bin'}:{os.environ['PATH']}", "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb"}
    done = subprocess.run(words, cwd=home, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def complete(home: Path) -> Complete:
    """What bash offers for the last of its words; it cuts words at `=` before it asks."""

    def ask(*words: str) -> list[str]:
        named = " ".join(f"'{word}'" for word in ("batchgen", *words))
        return shell(
            home,
            "bash",
            "--norc",
            "-c",
            f"source <(batchgen completion bash); COMP_WORDS=({named}); COMP_CWORD={len(words)}; "
            '_batchgen_completion batchgen; printf "%s\\n" "${COMPREPLY[@]}"',
        ).split()

    return ask


def test_verbs_and_options(complete: Complete) -> None:
    assert complete("pl") == ["plan"]
    assert set(complete("")) >= {"run", "plan", "doctor", "history", "export"}
    assert complete("run", "--max") == ["--max-cost"]
    assert complete("export", "outputs/one", "--format", "web") == ["webdataset"]


def test_job_files_and_output_folders_and_nothing_else(complete: Complete) -> None:
    assert complete("run", "") == ["jobs/one.yaml", "jobs/two.yml", "outputs/one"]
    assert complete("plan", "jobs/o") == ["jobs/one.yaml"]
    assert complete("status", "jobs/one.yaml", "out") == []


def test_models_by_their_id_or_its_end(complete: Complete) -> None:
    assert complete("models", "step") == ["stepfun-ai/step1x-edit"]
    assert complete("models", "flux.1") == ["black-forest-labs/flux.1-dev"]
    assert complete("models", "") == list(load_provider("modelverse").models)
    assert complete("init", "--models", "flux.1-dev,step") == ["flux.1-dev,stepfun-ai/step1x-edit"]
    assert complete("models", "--provider", "s") == ["sandbox"]


def test_labels_variables_and_prompts_of_the_job_on_the_line(complete: Complete) -> None:
    run = ("run", "jobs/one.yaml")

    assert complete(*run, "--only", "st") == ["style="]
    assert complete(*run, "--only", "model", "=") == ["flux.1-dev", "second"]
    assert complete(*run, "--only", "model", "=", "se") == ["second"]
    assert complete(*run, "--only", "=", "model", "=", "se") == ["second"]
    assert complete(*run, "--only", "style", "=", "") == ["ink", "oil"]
    assert complete(*run, "--only", "row", "=", "") == ["fox"]
    assert complete(*run, "--set", "response_format", "=", "u") == ["url"]
    assert "steps=" in complete(*run, "--set", "")


def test_a_job_that_cannot_be_read_is_no_trouble(complete: Complete, home: Path) -> None:
    (home / "jobs" / "one.yaml").write_text("prompts: [\n")

    assert complete("run", "jobs/one.yaml", "--only", "model", "=", "") == []
    assert complete("run", "jobs/gone.yaml", "--only", "m") == ["model="]


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish here")
def test_fish_offers_the_same(home: Path) -> None:
    asked = "batchgen completion fish | source; complete -C 'batchgen pla'; complete -C 'batchgen run jobs/one.yaml --only model=s'"

    said = shell(home, "fish", "--no-config", "-c", asked).splitlines()

    assert [line.partition("\t")[0] for line in said] == ["plan", "model=second"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_offers_the_same(home: Path) -> None:
    script = home / "_batchgen"
    script.write_text(shell(home, "batchgen", "completion", "zsh"))
    assert script.read_text().startswith("#compdef batchgen")
    # What zsh's own completion would do with the answer is shown instead of drawn.
    asked = f"""
        compdef() {{ :; }}; _describe() {{ shift 2; print -l -- "described"; }}; compadd() {{ print -l -- ${{(P)@[-1]}}; }}
        source {script}
        words=(batchgen run jobs/one.yaml --only model=s); CURRENT=5; _batchgen_completion
    """

    assert "model=second" in shell(home, "zsh", "-f", "-c", asked)


def test_every_verb_with_a_job_completes_it() -> None:
    context = click.Context(cli)
    for verb in cli.list_commands(context):
        command = cli.get_command(context, verb)
        for parameter in command.params if command else ():
            if parameter.name in {"job", "jobs"}:
                offered = [item.value for item in parameter.shell_complete(context, "jobs/")]
                assert "jobs/demo.yaml" in offered, verb
