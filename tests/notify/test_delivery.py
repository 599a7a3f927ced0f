"""Sending news to real servers and commands: a few tries, an end, and no address in any word."""

import json
import os
import socket
import sys
from pathlib import Path

import pytest
import trustme

from batchgen.notify import delivery
from batchgen.notify.delivery import Target, deliver
from batchgen.notify.messages import News

from .conftest import PromptClock
from .receiver import Receiver

NEWS = News("failure", "batchgen foo: budget reached\nbatchgen run jobs/foo.yaml", {"job": "foo"})


def hook(receiver: Receiver, to: str = "webhook") -> Target:
    return Target(to, "THE_HOOK", url=f"{receiver.url}/s3cret-path")


async def test_news_arrive_once(receiver: Receiver, clock: PromptClock) -> None:
    assert await deliver([hook(receiver)], NEWS, clock) == []

    (got,) = receiver.got
    assert got.path == "/s3cret-path"
    assert got.json()["text"] == NEWS.text


@pytest.mark.parametrize("answer", [(500, b""), (503, b""), (429, b"")])
async def test_a_server_in_trouble_is_tried_again(
    receiver: Receiver, clock: PromptClock, answer: tuple[int, bytes]
) -> None:
    receiver.answers = [answer, answer, (200, b"{}")]

    assert await deliver([hook(receiver)], NEWS, clock) == []
    assert len(receiver.got) == 3
    assert clock.slept == [1.5, 3.0]


async def test_a_server_that_stays_in_trouble_is_left_after_three_tries(receiver: Receiver, clock: PromptClock) -> None:
    receiver.answers = [(500, b"s3cret-answer")]

    (line,) = await deliver([hook(receiver)], NEWS, clock)

    assert line == "webhook (THE_HOOK) was not told: it answered 500"
    assert len(receiver.got) == 3


async def test_what_no_further_try_mends_is_tried_once(receiver: Receiver, clock: PromptClock) -> None:
    receiver.answers = [(404, b"")]

    (line,) = await deliver([hook(receiver)], NEWS, clock)

    assert "it answered 404" in line
    assert len(receiver.got) == 1


async def test_a_redirect_is_not_followed(receiver: Receiver, clock: PromptClock) -> None:
    receiver.answers = [(307, b"")]

    (line,) = await deliver([hook(receiver)], NEWS, clock)

    assert "it answered 307" in line
    assert [got.path for got in receiver.got] == ["/s3cret-path"]


async def test_a_robots_own_error_is_an_error(receiver: Receiver, clock: PromptClock) -> None:
    receiver.answers = [(200, json.dumps({"code": 19024, "msg": "s3cret"}).encode())]

    (line,) = await deliver([hook(receiver, "feishu")], NEWS, clock)

    assert line == "feishu (THE_HOOK) was not told: it answered with its error 19024"


async def test_a_server_that_never_answers_ends_by_itself(
    receiver: Receiver, clock: PromptClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_TRY_S", 0.05)
    receiver.hold.clear()

    (line,) = await deliver([hook(receiver)], NEWS, clock)

    assert "no answer within" in line
    assert len(receiver.got) == 3


async def test_the_whole_of_it_ends_too(receiver: Receiver, clock: PromptClock) -> None:
    receiver.hold.clear()

    (line,) = await deliver([hook(receiver)], NEWS, clock, 0.5)

    assert "no answer within" in line
    assert len(receiver.got) == 1


async def test_one_that_fails_keeps_no_other_from_being_told(receiver: Receiver, clock: PromptClock) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = Target("slack", "DEAD", url=f"http://127.0.0.1:{closed.getsockname()[1]}/s3cret")
        bad = Target("slack", "BAD", url="http://hooks.example/s3cret")
        said = await deliver([dead, bad, hook(receiver)], NEWS, clock)

    assert len(said) == 2
    assert "s3cret" not in "".join(said)
    assert "BAD holds no address that begins with https://" in said[1]
    assert len(receiver.got) == 1


async def test_a_certificate_that_nobody_trusts_ends_it(clock: PromptClock) -> None:
    import asyncio
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]

    (line,) = await deliver([Target("slack", "HOOK", url=f"https://127.0.0.1:{port}/s3cret")], NEWS, clock)

    server.close()
    await server.wait_closed()
    assert line == "slack (HOOK) was not told: its certificate is not trusted"


def script(tmp_path: Path, text: str) -> str:
    file = tmp_path / "tell me.py"
    file.write_text(text)
    return f"{sys.executable} '{file}' one"


def is_gone(pid: int) -> bool:
    """Whether a process has ended, waited for or not."""
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split()[2] == "Z"


async def test_a_command_gets_the_text_and_no_shell(tmp_path: Path, clock: PromptClock) -> None:
    seen = tmp_path / "seen"
    command = script(
        tmp_path,
        "import os, sys; open("
        + repr(str(seen))
        + ", 'w').write(repr([sys.argv[1:], sys.stdin.read(), dict(os.environ)]))",
    )
    environment = {"PATH": os.environ["PATH"], "MINE": "1"}

    said = await deliver([Target("command", "CMD", command=f"{command} $HOME", environment=environment)], NEWS, clock)

    arguments, text, variables = eval(seen.read_text())  # our own repr
    assert said == []
    assert arguments == ["one", "$HOME"]
    assert text == f"{NEWS.text}\n"
    assert (variables["MINE"], variables["BATCHGEN_EVENT"]) == ("1", "failure")


async def test_a_command_that_fails_is_said_and_not_repeated(tmp_path: Path, clock: PromptClock) -> None:
    count = tmp_path / "count"
    command = script(tmp_path, f"open({str(count)!r}, 'a').write('x'); raise SystemExit(3)")

    (line,) = await deliver([Target("command", "CMD", command=command, environment={})], NEWS, clock)

    assert line == "command (CMD) was not told: it ended with 3"
    assert count.read_text() == "x"


async def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path, clock: PromptClock) -> None:
    pids = tmp_path / "pids"
    file = tmp_path / "hang.sh"
    file.write_text(f"sleep 600 & echo $! > {pids}; wait")

    (line,) = await deliver(
        [Target("command", "CMD", command=f"sh {file}", environment={"PATH": os.environ["PATH"]})], NEWS, clock, 4.0
    )

    assert "it was ended after" in line or "no answer within" in line
    assert is_gone(int(pids.read_text()))


@pytest.mark.parametrize(
    ("command", "words"),
    [("", "CMD is empty"), ("a 'b", "a quote that is not closed"), ("/no/such/program", "no such file")],
)
async def test_a_command_that_is_none_is_said(clock: PromptClock, command: str, words: str) -> None:
    (line,) = await deliver([Target("command", "CMD", command=command, environment={})], NEWS, clock)

    assert words in line


async def test_apprise_delivers_to_what_it_knows(receiver: Receiver, clock: PromptClock) -> None:
    address = receiver.url.replace("http://", "json://")

    assert await deliver([Target("apprise", "APP", url=f"{address}/x")], NEWS, clock) == []

    assert receiver.got[0].json()["message"] == NEWS.text


async def test_apprise_says_no_address_and_no_answer(
    receiver: Receiver, clock: PromptClock, capfd: pytest.CaptureFixture[str]
) -> None:
    receiver.answers = [(500, b"s3cret-answer")]
    address = receiver.url.replace("http://", "json://")

    failed = await deliver([Target("apprise", "APP", url=f"{address}/s3cret")], NEWS, clock)
    unknown = await deliver([Target("apprise", "APP", url="nothing://s3cret")], NEWS, clock)

    assert failed == ["apprise (APP) was not told: apprise could not deliver it"]
    assert unknown == ["apprise (APP) was not told: it holds no address that apprise knows"]
    assert "s3cret" not in "".join(capfd.readouterr())
