"""The part of a job file that is for runs that nobody watches: what is written down, and who is told.

It owns their shape. Where a message goes stands in variables of the environment, and never in a job file: a webhook's
address is a secret, and job files come from strangers.
"""

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from batchgen.spec.job import Log, Notify
from batchgen.spec.mistakes import Mistakes

COMMANDS_BEGIN_WITH = "BATCHGEN_NOTIFY_"
"""Variables that may hold a command: whoever sets one of these means it."""
MOST_TOLD = 20
_COMMAND = "BATCHGEN_NOTIFY_COMMAND"
SIGNED = ("webhook", "feishu", "lark", "dingtalk")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")

To = Literal["webhook", "slack", "feishu", "lark", "dingtalk", "wecom", "command", "apprise", "heartbeat"]
On = Literal["start", "success", "failure", "change"]


class LogItem(BaseModel):
    """The log that each run leaves in `runs/`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal["plain", "json"] = Field(default="plain", description="Lines for people, or JSON lines.")
    keep: int = Field(default=60, ge=1, le=100_000, description="Logs kept at most.")
    days: int = Field(default=400, ge=0, le=100_000, description="Days a log is kept at most; 0 is no bound.")


class NotifyItem(BaseModel):
    """Somebody, or something, that is told how runs end."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    to: To = Field(description="The service, a command, or a heartbeat monitor.")
    url_env: str | None = Field(default=None, description="The variable that holds the address.")
    secret_env: str | None = Field(
        default=None, description="The variable that holds the secret that messages are signed with."
    )
    command_env: str | None = Field(
        default=None, description="The variable that holds the command; BATCHGEN_NOTIFY_COMMAND."
    )
    on: list[On] | None = Field(
        default=None, min_length=1, max_length=4, description="When; failure alone if it is left out."
    )


def log_of(item: LogItem) -> Log:
    """The values of `log:`."""
    return Log(format=item.format, keep=item.keep, days=item.days)


def notify_of(items: Sequence[NotifyItem], mistakes: Mistakes) -> tuple[Notify, ...]:
    """The values of `notify:`; what does not fit together is noted."""
    told = []
    for index, item in enumerate(items):
        found = Notify(
            to=item.to,
            url_env=item.url_env,
            secret_env=item.secret_env,
            command_env=_COMMAND if item.to == "command" and item.command_env is None else item.command_env,
            on=() if item.to == "heartbeat" and item.on is None else tuple(item.on or ("failure",)),
        )
        for key, message, hint in misfits(found):
            loc: tuple[str | int, ...] = ("notify", index, key)
            at = loc if getattr(item, key) is not None else loc[:2]
            mistakes.add(at, message, hint, kind="notify")
        told.append(found)
    return tuple(told)


def misfits(told: Notify) -> list[tuple[str, str, str]]:
    """What does not fit together: the key, what is wrong with it, and what to write instead."""
    to, found = told.to, []
    for key in ("url_env", "secret_env", "command_env"):
        name = getattr(told, key)
        if name is not None and not _NAME.fullmatch(name):
            found.append(
                (
                    key,
                    f"`{key}` names a variable, and this is no name of one",
                    f"write `{key}: {_example(to, key)}`, and put the value into the environment or `.env`",
                )
            )
    if to == "command" and told.url_env is not None:
        found.append(("url_env", "a command has no `url_env`", "delete the line"))
    if to != "command" and told.url_env is None:
        found.append(
            (
                "url_env",
                f"`to: {to}` needs `url_env`: the variable that holds the address",
                f"write `url_env: {_example(to, 'url_env')}`",
            )
        )
    if to != "command" and told.command_env is not None:
        found.append(("command_env", "`command_env` is for `to: command`", "delete the line"))
    if to == "command" and not (told.command_env or "").startswith(COMMANDS_BEGIN_WITH):
        found.append(
            (
                "command_env",
                f"a variable that holds a command begins with {COMMANDS_BEGIN_WITH}",
                f"write `command_env: {_COMMAND}`",
            )
        )
    if told.secret_env is not None and to not in SIGNED:
        found.append(
            ("secret_env", f"messages to {to} are not signed", f"delete the line; {', '.join(SIGNED)} take it")
        )
    if to == "heartbeat" and told.on:
        found.append(("on", "a heartbeat hears of every start, success and failure", "delete the line"))
    return found


def _example(to: str, key: str) -> str:
    words = {"url_env": "WEBHOOK", "secret_env": "SECRET"}
    return (
        _COMMAND if key == "command_env" else f"{to.upper()}_{'URL' if to in {'heartbeat', 'apprise'} else words[key]}"
    )
