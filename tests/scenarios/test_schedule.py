"""`batchgen schedule`: systemd and cron themselves read what it prints, and run it in the environment they give."""

import datetime
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import KEY, Cli, Server, bare_environment, manifest, report, sandbox_process, write_job
from .mounts import mounts_work

GOOD = "prompts: [a lamp]\nmodels: [black-forest-labs/flux.1-dev]\nbudget: {images: 50}\n"
ODD = '100% of $HOME\'s "jobs"'
MANAGER = Path("/lib/systemd/systemd")

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="NOT RUN: systemd-analyze is not installed"
)
needs_manager = pytest.mark.skipif(
    not (mounts_work() and MANAGER.exists()) or Path("/run/systemd/system").exists(),
    reason="NOT RUN: needs root, an installed systemd, and a machine that is not run by one",
)
needs_cron = pytest.mark.skipif(
    not (mounts_work() and Path("/usr/sbin/cron").exists()), reason="NOT RUN: needs root and Debian's cron"
)


def with_key(job: Path, base_url: str) -> Path:
    """The `.env` beside the job, as its owner would write it."""
    file = job.with_name(".env")
    file.write_text(f"MODELVERSE_API_KEY={KEY}\nMODELVERSE_BASE_URL={base_url}\n", encoding="utf-8")
    file.chmod(0o600)
    return file


def write_units(cli: Cli, folder: Path, *arguments: object, name: str, key: str = KEY) -> list[Path]:
    """Service and timer, saved as the command says that they should be."""
    folder.mkdir(parents=True, exist_ok=True)
    units = []
    for part in ("service", "timer"):
        printed = cli("schedule", *arguments, "--part", part, key=key)
        assert (printed.code, printed.err) == (0, ""), printed.err
        units.append(folder / f"{name}.{part}")
        units[-1].write_text(printed.out, encoding="utf-8")
    return units


@needs_systemd
@pytest.mark.parametrize("folder", ["plain", ODD, "霓虹 城市"])
def test_systemd_finds_nothing_to_say_about_the_units(cli: Cli, tmp_path: Path, folder: str) -> None:
    job = write_job(tmp_path / folder, GOOD)
    options = ("--at", "2:00", "--days", "fri-mon", "--deadline", "06:30")
    units = write_units(cli, tmp_path / "units", job, *options, name="batchgen-foo")

    checked = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", *map(str, units)],
        capture_output=True,
        text=True,
        check=False,
        env=bare_environment(tmp_path, XDG_RUNTIME_DIR=str(tmp_path)),
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@needs_systemd
def test_systemd_reads_the_calendar_as_it_was_meant(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD)
    printed = cli("schedule", job, "--at", "02:00", "--days", "fri-mon", "--part", "timer").out
    (calendar,) = [line.partition("=")[2] for line in printed.splitlines() if line.startswith("OnCalendar=")]

    read = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=4", "--base-time=2026-03-23 12:00 UTC", calendar],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "TZ": "UTC"},
    ).stdout

    assert [day in read for day in ("Fri 2026-03-27 02:00", "Sat 2026-03-28", "Sun 2026-03-29", "Mon 2026-03-30")] == [
        True
    ] * 4


_UNDER_A_MANAGER = """
mount -t tmpfs none /run && mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR" || exit 9
{manager} --user --log-target=null &
manager=$!
until [ -S "$XDG_RUNTIME_DIR/systemd/private" ]; do kill -0 $manager || exit 8; sleep 0.1; done
{script}
kill $manager
wait $manager
rmdir /sys/fs/cgroup/*/init.scope /sys/fs/cgroup/init.scope 2> /dev/null
exit 0
"""


def under_a_manager(home: Path, script: str) -> "subprocess.CompletedProcess[str]":
    """A shell script beside a systemd of a user, in namespaces that end with it."""
    text = _UNDER_A_MANAGER.format(manager=MANAGER, script=script)
    done = subprocess.run(
        ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", text],
        capture_output=True,
        text=True,
        env=bare_environment(home, XDG_RUNTIME_DIR="/run/me"),
        timeout=110,
        check=False,
    )
    if done.returncode in {8, 9}:
        pytest.skip(f"NOT RUN: no systemd of a user starts here: {done.stderr[:200]}")
    return done


@needs_manager
def test_systemd_runs_the_service_and_all_its_hardening_is_in_no_way(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path / ODD, GOOD)
    with_key(job, sandbox.base_url)
    write_units(
        cli, tmp_path / ".config/systemd/user", job, "--at", "02:00", "--deadline", "1h", name="batchgen-foo", key=""
    )

    done = under_a_manager(
        tmp_path,
        "systemctl --user start batchgen-foo.service batchgen-foo.timer\n"
        "systemctl --user show batchgen-foo.service -p Result -p ExecMainStatus\n"
        "systemctl --user show batchgen-foo.timer -p ActiveState -p Persistent\n",
    )

    said = set(done.stdout.split())
    assert {"Result=success", "ExecMainStatus=0", "ActiveState=active", "Persistent=yes"} <= said, done
    folder = tmp_path / ODD / "outputs" / "foo"
    assert len(manifest(folder)) == 1
    assert report(folder)["exit_code"] == 0


@needs_manager
def test_a_stop_by_systemd_lets_calls_end_and_is_no_failure(cli: Cli, tmp_path: Path) -> None:
    job = write_job(
        tmp_path, GOOD.replace("[a lamp]", "[a lamp, a cup, a chair, a fox]") + "limits: {concurrency: 1}\n"
    )
    with sandbox_process(tmp_path, "--latency", "2") as server:
        # No `.env` beside the job: the key comes from the file that the service names.
        write_units(cli, tmp_path / ".config/systemd/user", job, "--at", "02:00", name="batchgen-foo")
        variables = tmp_path / ".config" / "batchgen" / "batchgen-foo.env"
        variables.parent.mkdir(parents=True)
        variables.write_text(f"MODELVERSE_API_KEY={KEY}\nMODELVERSE_BASE_URL={server.base_url}\n")
        bill = shlex.quote(str(server.bill_file))

        done = under_a_manager(
            tmp_path,
            "systemctl --user start batchgen-foo.timer\n"  # what nothing refers to is forgotten when it ends
            "systemctl --user start --no-block batchgen-foo.service\n"
            f"until [ -s {bill} ] || ! kill -0 $manager; do sleep 0.05; done\n"
            "systemctl --user stop batchgen-foo.service\n"
            "systemctl --user show batchgen-foo.service -p Result -p ExecMainStatus -p ActiveState\n",
        )
        billed = server.bill()["pictures"]

    said = set(done.stdout.split())
    assert {"Result=success", "ExecMainStatus=130", "ActiveState=inactive"} <= said, done
    folder = tmp_path / "outputs" / "foo"
    assert 1 <= len(manifest(folder)) == billed < 4
    assert report(folder)["counts"]["unknown"] == 0


_UNDER_CRON = """
set -e
mount -t tmpfs none /run
mount -t tmpfs none /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
install -m 600 {own}/crontab /var/spool/cron/crontabs/root
mount -t tmpfs none /etc/cron.d
mount --bind {own}/empty /etc/crontab
mount --bind {own}/sbin /usr/sbin
env -i PATH="$PATH" /usr/sbin/cron -f &
cron=$!
until [ -e {good}/report.json ] && [ -e {own}/mails ] && [ -z "$(cat /proc/$cron/task/$cron/children)" ]; do
    kill -0 $cron
    sleep 0.2
done
kill $cron
"""
_SENDMAIL = """#!/bin/sh
{{ echo BEGIN; cat; echo END; }} >> {mails}
"""


def next_minute() -> str:
    """The time of day, on this machine's clock, at which cron will look next; not one that is about to pass."""
    now = subprocess.run(
        ["date", "+%H:%M:%S"], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
    ).stdout
    at = datetime.datetime.strptime(now.strip(), "%H:%M:%S")
    at += datetime.timedelta(minutes=2 if at.second > 45 else 1)
    return at.strftime("%H:%M")


@needs_cron
@pytest.mark.timeout(240)
def test_debians_cron_runs_the_line_and_mails_only_what_went_wrong(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    """It takes up to a minute and a quarter: cron looks once a minute."""
    own = tmp_path / "cron"
    (own / "sbin").mkdir(parents=True)
    (own / "empty").touch()
    shutil.copy("/usr/sbin/cron", own / "sbin")
    (own / "sbin" / "sendmail").write_text(_SENDMAIL.format(mails=shlex.quote(str(own / "mails"))))
    (own / "sbin" / "sendmail").chmod(0o755)
    good, bad = write_job(tmp_path / ODD, GOOD), write_job(tmp_path / "bad", GOOD, "bar.yaml")
    with_key(good, sandbox.base_url)
    at = next_minute()
    printed = [cli("schedule", job, "--at", at, "--deadline", "1h", "--cron", key="") for job in (good, bad)]
    (own / "crontab").write_text("".join(each.out for each in printed), encoding="utf-8")
    folder = tmp_path / ODD / "outputs" / "foo"

    script = _UNDER_CRON.format(own=shlex.quote(str(own)), good=shlex.quote(str(folder)))
    done = subprocess.run(
        ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", script],
        capture_output=True,
        text=True,
        env=bare_environment(tmp_path),
        timeout=150,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert len(manifest(folder)) == 1
    assert report(folder)["exit_code"] == 0
    assert (folder / "runs").is_dir()
    mails = (own / "mails").read_text(encoding="utf-8")
    assert mails.count("BEGIN\n") == 1, mails
    headers, _, body = mails.partition("\n\n")
    assert "bar.yaml" in headers
    assert body.splitlines()[0].startswith(
        "batchgen: no key for UCloud ModelVerse: MODELVERSE_API_KEY is not set; next:"
    )
    assert body.splitlines()[1:] == ["END"]
    assert "foo" not in body


def everything_in(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("kind", ["--cron", "--systemd"])
def test_it_prints_the_key_nowhere_and_changes_nothing(cli: Cli, tmp_path: Path, kind: str) -> None:
    job = write_job(tmp_path, GOOD)
    with_key(job, "http://127.0.0.1:9/v1")
    before = everything_in(tmp_path)

    printed = cli("schedule", job, "--at", "02:00", kind)

    assert printed.code == 0, printed.err
    assert KEY not in printed.out + printed.err
    assert everything_in(tmp_path) == before
    assert "Nothing was installed" in printed.err


def test_a_key_beside_the_job_needs_no_file_of_variables(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD)
    file = with_key(job, "http://127.0.0.1:9/v1")

    units = cli("schedule", job, "--at", "02:00")
    line = cli("schedule", job, "--at", "02:00", "--cron")

    assert "EnvironmentFile" not in units.out
    assert f"is read from ~/{file.relative_to(tmp_path)}" in line.err


def test_a_key_of_this_shell_is_said_to_be_missing_at_night(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD)

    units = cli("schedule", job, "--at", "02:00", base_url="http://127.0.0.1:9/v1")
    line = cli("schedule", job, "--at", "02:00", "--cron")

    assert f"\nEnvironmentFile={tmp_path}/.config/batchgen/batchgen-foo.env\n" in units.out
    assert "chmod 600 ~/.config/batchgen/batchgen-foo.env" in units.err
    assert "MODELVERSE_API_KEY, MODELVERSE_BASE_URL" in units.err
    assert "Cron starts with no variables. MODELVERSE_API_KEY, for" in line.err
    assert "chmod 600 ~/jobs/.env" in line.err


def test_variables_of_those_who_are_told_are_named(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD + "notify: [{to: slack, url_env: HOOK}, {to: command}]\n")
    with_key(job, "http://127.0.0.1:9/v1")

    units = cli("schedule", job, "--at", "02:00", key="")
    line = cli("schedule", job, "--at", "02:00", "--cron", key="")

    assert "as NAME=value: HOOK, BATCHGEN_NOTIFY_COMMAND" in units.err
    assert "A command of `notify` runs under this, too" in units.out
    assert "HOOK, for" in line.err
    assert "BATCHGEN_NOTIFY_COMMAND has to stand in the crontab, too" in line.err


def test_what_must_fail_at_night_is_not_scheduled(cli: Cli, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD + "seedz: 3\n")
    broken = cli("schedule", job, "--at", "02:00")
    open_to_all = write_job(tmp_path / "open", GOOD)
    with_key(open_to_all, "http://127.0.0.1:9/v1").chmod(0o644)
    exposed = cli("schedule", open_to_all, "--at", "02:00")

    assert (broken.code, broken.out) == (2, "")
    assert "seedz" in broken.err
    assert (exposed.code, exposed.out) == (7, "")
    assert "chmod 600" in exposed.err


def test_one_file_of_variables_gives_no_job_the_key_of_another(cli: Cli, tmp_path: Path) -> None:
    mine = write_job(tmp_path / "mine", GOOD)
    with_key(mine, "http://127.0.0.1:9/v1")
    other = write_job(tmp_path / "other", GOOD, "bar.yaml")

    refused = cli("schedule", mine, other, "--at", "02:00", key="")

    assert (refused.code, refused.out) == (2, "")
    assert "schedule them one by one" in refused.err
    assert cli("schedule", mine, other, "--at", "02:00", "--cron", key="").code == 0


def test_cron_and_an_output_folder_do_not_go_together(cli: Cli, sandbox: Server, tmp_path: Path) -> None:
    job = write_job(tmp_path, GOOD)
    assert cli("run", job, base_url=sandbox.base_url).code == 0
    folder = tmp_path / "outputs" / "foo"

    refused = cli("schedule", folder, "--at", "02:00", "--cron", key="")

    assert (refused.code, refused.out) == (2, "")
    assert "name the job file" in refused.err
    assert f" {folder}\n" in cli("schedule", folder, "--at", "02:00", key="").out


def test_what_one_should_know_is_said(cli: Cli, tmp_path: Path) -> None:
    nightly = write_job(tmp_path, GOOD.replace("budget: {images: 50}", "output: {folder: 'kept/{night}'}"))

    said = cli("schedule", nightly, "--at", "02:00", "--days", "mon-fri", "--deadline", "06:30").err

    assert "has no budget" in said
    assert "Monday to Friday at 02:00 in the time zone of this machine" in said
    assert "belongs to the night of Sunday to Thursday" in said
    assert "--deadline 4h" in said
    assert "loginctl enable-linger" in said
    assert "--days mon-fri --deadline 06:30 --part service > ~/.config/systemd/user/batchgen-foo.service" in said


def test_jobs_run_one_after_another_in_one_line(cli: Cli, tmp_path: Path) -> None:
    jobs = [write_job(tmp_path, "provider: sandbox\n" + GOOD, name) for name in ("foo.yaml", "bar.yaml")]

    printed = cli("schedule", *jobs, "--at", "02:00", key="").out

    (line,) = [line for line in printed.splitlines() if line.startswith("ExecStart=")]
    assert line.endswith(f"run --quiet --yes --if-locked skip {jobs[0]} {jobs[1]}")
    assert "batchgen-foo-and-1-more.timer" in printed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--at", "26:00"], "--at 26:00 is no time of day"),
        (["--at", "02:00", "--days", "mon-frj"], "did you mean fri?"),
        (["--at", "02:00", "--deadline", "soon"], "the deadline soon is no length of time"),
        (["--at", "02:00", "--cron", "--part", "timer"], "--part is about systemd"),
        ([], "Missing option '--at'"),
    ],
)
def test_mistakes_are_said_in_words(cli: Cli, tmp_path: Path, options: list[str], words: str) -> None:
    job = write_job(tmp_path, GOOD)

    refused = cli("schedule", job, *options)

    assert (refused.code, refused.out) == (2, "")
    assert words in refused.err
