"""The door: finds the verb, runs it, and turns how it ended into a message and an exit code.

Verbs live in one module each and are imported only when they are asked for, so that `--help` answers at once.
"""

import contextlib
import difflib
import importlib
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Any

import click

from batchgen import __version__
from batchgen.cli.completion import register
from batchgen.cli.messages import say, say_error, say_in_one_line
from batchgen.errors import BatchgenError, Exit, StorageError
from batchgen.outside import clean

_GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "make",
        (
            ("init", "write a job file: small, of a curl call, for a table"),
            ("validate", "check job files and say what they ask for"),
            ("plan", "what a job will make and what it will cost"),
            ("run", "make the pictures that are missing"),
            ("recover", "download what is paid for; never buys"),
        ),
    ),
    (
        "look",
        (
            ("status", "what a job or folder has, spent and misses"),
            ("compare", "the same pictures in two folders: what changed"),
            ("gallery", "a page to look at everything in the browser"),
            ("recipe", "the job that makes a picture again"),
            ("export", "hand the stored pictures on: tables, data sets, sheets"),
        ),
    ),
    (
        "keep house",
        (
            ("history", "what every night made and cost"),
            ("schedule", "a timer or a crontab line for a nightly run"),
            ("verify", "check every stored picture against the ledger"),
            ("prune", "make room: old logs, unused thumbnails, rejected pictures"),
        ),
    ),
    (
        "set up",
        (
            ("doctor", "this machine, the key and the provider, before anything costs"),
            ("models", "models, their fields and prices"),
            ("schema", "the JSON Schema of job files, for editors"),
            ("completion", "the script that makes a shell complete all this"),
            ("sandbox", "a local server that speaks the images API, for free"),
        ),
    ),
)
_VERBS = {name: words for _, verbs in _GROUPS for name, words in verbs}


class _Verbs(click.Group):
    """Verbs by group in the help, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        command: click.Command = importlib.import_module(f"batchgen.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _VERBS and Path(args[0]).suffix in {".yaml", ".yml"}:
            ctx.fail(f"{args[0]} is a job file; did you mean `batchgen run {shlex.quote(args[0])}`?")
        near = difflib.get_close_matches(args[0], list(_VERBS), n=1) if args and args[0] not in _VERBS else []
        if near:
            ctx.fail(f"there is no verb {args[0]!r}; did you mean `batchgen {near[0]}`?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, verbs in _GROUPS:
            with formatter.section(title.capitalize()):
                formatter.write_dl([(name, words) for name, words in verbs])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Examples"):
            formatter.write_text("batchgen init jobs/first.yaml")
            formatter.write_text("batchgen plan jobs/first.yaml")
            formatter.write_text("batchgen run jobs/first.yaml")
        with formatter.section("Exit codes"):
            formatter.write_text(
                "0 done, 2 a mistake in the job (nothing spent), 3 some tasks failed for good, 4 provider unavailable, "
                "5 budget reached, 6 local storage, 7 key or account, 8 another run is going, 9 calls of unknown outcome wait for your decision, "
                "130 or 143 stopped"
            )


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="batchgen")
def cli() -> None:
    """Make pictures in batches with a hosted images API that charges for each one.

    A YAML job file names prompts, models and seeds. `run` buys what is missing, downloads and checks every picture,
    and can be repeated: the same command goes on where the last one stopped, and a finished job sends nothing.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    register()
    code = int(_run(arguments))
    _let_go_of_closed_streams()
    sys.exit(code)


def _let_go_of_closed_streams() -> None:
    """A reader that went away (`| head`, a closed terminal) must not change the exit code of what was done."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # Python tries once more when it ends, and would exit with a code of its own.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(arguments: list[str] | None) -> Exit | int:
    # Whoever asked for quiet gets one line also for what keeps a verb from starting: cron mails it.
    quiet = "--quiet" in (sys.argv[1:] if arguments is None else arguments)
    try:
        result: Any = cli.main(args=arguments, prog_name="batchgen", standalone_mode=False)
        return result if isinstance(result, int) else Exit.DONE
    except click.exceptions.Abort:
        say("stopped")
        return Exit.SIGINT
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message())
        return Exit.USAGE
    except click.ClickException as error:
        context = None if quiet else getattr(error, "ctx", None)
        if context is not None:
            say(context.get_usage())
        say(f"batchgen: {error.format_message()}")
        return Exit.USAGE
    except BatchgenError as error:
        (say_in_one_line if quiet else say_error)(error)
        return error.exit_code
    except KeyboardInterrupt:
        say("stopped")
        return Exit.SIGINT
    except BrokenPipeError:
        return Exit.DONE
    except Exception as error:  # noqa: BLE001  # the last door: a bug must still end in words and an exit code
        if type(error).__module__ == "sqlite3":  # not imported here: `--help` answers without it
            say_error(StorageError(f"a ledger cannot be read: {clean(error)}", "`batchgen verify` looks at it closer"))
            return Exit.STORAGE
        frame = traceback.extract_tb(error.__traceback__)[-1]
        say(f"batchgen: internal error: {type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}")
        say("  next: this is a bug; please report it. What was paid for is safe: run the same command again")
        return Exit.BUG


if __name__ == "__main__":
    main()
