"""Starts the product's command line in a process that is going to be killed. Knows nothing of what the run does.

`--serve`: imports everything once, then forks a child for each order on stdin (see `children.py`). Otherwise runs the
arguments after `--` in this process. Either way a failpoint may be armed first: the process then kills itself there.
"""

import argparse
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from .failpoints import arm

_IMPORTED_BEFORE_THE_FORK = ("batchgen.cli.run", "batchgen.cli.execute", "batchgen.cli.recover", "batchgen.views.plain")


def _serve() -> None:
    """Fork a child for each line on stdin; say its number, when it has ended, and, once told to reap it, how."""
    for name in _IMPORTED_BEFORE_THE_FORK:
        importlib.import_module(name)
    gc.freeze()
    while line := sys.stdin.readline():
        order = json.loads(line)
        alive, held_by_child = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(alive)
            _become(order)
        os.close(held_by_child)
        _say({"pid": pid})
        # The child holds the other side and never writes: this is readable when it is dead. Nor does the harness write
        # before it is told so: its side is readable when the harness itself is dead.
        readable, _, _ = select.select([alive, sys.stdin], [], [])
        if alive not in readable:
            os.kill(pid, signal.SIGKILL)
            return
        os.close(alive)
        _say({"ended": pid})
        sys.stdin.readline()
        _, status = os.waitpid(pid, 0)
        _say({"status": status})


def _say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


def _become(order: dict[str, Any]) -> NoReturn:
    """Turn a fork into the command line, as if it had been started so."""
    code = 1
    try:
        os.setsid()
        os.environ.clear()
        os.environ.update(order["env"])
        time.tzset()
        _point_output_at(order["output"])
        if order["wait"]:
            signal.raise_signal(signal.SIGSTOP)  # until a tracer is attached
        code = _run(order["argv"], order["failpoint"])
    except BaseException:  # noqa: BLE001  # said where the harness finds it; the exit code says that it is a bug
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _point_output_at(path: str) -> None:
    for source, numbers, flags in (
        (os.devnull, (0,), os.O_RDONLY),
        (path, (1, 2), os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        descriptor = os.open(source, flags, 0o600)
        for number in numbers:
            os.dup2(descriptor, number)
        os.close(descriptor)


def _run(arguments: Sequence[str], failpoint: dict[str, Any] | None) -> int:
    if failpoint is not None:
        arm(failpoint["name"], int(failpoint["call"]))
    from batchgen.cli.main import main as product
    from batchgen.engine import downloads

    downloads.DEAD_DELAYS_S = (0.2, 0.5)  # how long it waits for a dead link proves nothing here

    try:
        product(list(arguments))
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    return 0


def main() -> None:
    """Parse the arguments; see the module."""
    parser = argparse.ArgumentParser(description="the product's command line, to be killed")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--failpoint", type=json.loads, help='{"name": …, "call": …}')
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    if options.serve:
        _serve()
        return
    sys.exit(_run(options.arguments, options.failpoint))


if __name__ == "__main__":
    main()
