"""How an error is said on the command line: what happened, then what to do next, on stderr."""

import click

from batchgen.errors import BatchgenError


def say(text: str) -> None:
    """One line on stderr; a terminal that was closed must not hide the exit code."""
    try:
        click.echo(text, err=True)
    except OSError:
        return


def say_error(error: BatchgenError) -> None:
    """An error's message and the next step."""
    say(error.message if "\n" in error.message else f"batchgen: {error.message}")
    if error.hint:
        say(f"  next: {error.hint}")
