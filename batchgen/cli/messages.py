"""How an error is said on the command line: what happened, then what to do next, on stderr.

What libraries log on their own goes through here, too, without anything that a server sent and without a traceback.
"""

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from batchgen.errors import BatchgenError, JobError
from batchgen.outside import clean, printable
from batchgen.secret import Secret, without_signatures


def say(text: str, *, err: bool = True) -> None:
    """Lines on stderr or stdout, harmless whatever they name; a terminal that was closed must not hide the exit code."""
    try:
        click.echo("\n".join(map(printable, text.split("\n"))), err=err)
    except OSError:
        return


def say_error(error: BatchgenError) -> None:
    """An error's message and the next step."""
    say(error.message if "\n" in error.message else f"batchgen: {error.message}")
    if error.hint:
        say(f"  next: {error.hint}")


def say_in_one_line(error: BatchgenError, about: str = "") -> None:
    """An error for whoever asked for quiet: one line, whatever there is to say of it."""
    text, hint = error.message, error.hint
    if isinstance(error, JobError) and error.problems:
        first, *others = error.problems
        text, hint = str(dataclasses.replace(first, hint="")), first.hint or hint
        text += f" (and {len(others):,} more)" if others else ""
    first_line, *more = text.splitlines() or [""]
    words = f"{about or 'batchgen'}: {first_line}{' …' if more else ''}"
    say(f"{words}; next: {hint}".replace("\n", " ") if hint else words)


@contextmanager
def logs_in_words(secret: Secret) -> Iterator[None]:
    """While it lasts, what any library logs as a warning or worse is one harmless line that holds no secret."""
    handler = _InWords(secret)
    root = logging.getLogger()
    root.addHandler(handler)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.removeHandler(handler)


class _InWords(logging.Handler):
    def __init__(self, secret: Secret) -> None:
        super().__init__(logging.WARNING)
        self._secret = secret

    def emit(self, record: logging.LogRecord) -> None:
        # The first line alone: what follows may be the text of a request, with all its headers.
        words, *_ = record.getMessage().splitlines() or [""]
        where = ""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = f" ({type(error).__name__}"
            where += f" in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace else ")"
        say(f"batchgen: {record.name}: {clean(without_signatures(self._secret.hide(clean(words, 2000))))}{where}")
