"""A stream that is closed, broken or not read never reaches the run."""

import errno
import io
import os
import threading

from batchgen.views.stream import LineWriter, write_safely


def test_lines_arrive_in_order_and_all_are_there_after_close() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)
    for number in range(500):
        writer.put(str(number))
    writer.close("last")

    assert stream.getvalue().splitlines() == [*map(str, range(500)), "last"]


def test_nothing_is_written_after_the_last_line() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)
    writer.close("last")
    writer.put("late")
    writer.close("later")

    assert stream.getvalue() == "last\n"


def test_a_pipe_whose_reader_is_gone_is_forgotten() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", encoding="utf-8")
    writer = LineWriter(stream)
    for _ in range(10):
        writer.put("line")
    writer.close("last")

    assert not write_safely(stream, "more")
    assert _closed_with(stream) == errno.EPIPE


def _closed_with(stream: io.TextIOWrapper) -> int | None:
    try:
        stream.close()
    except OSError as error:
        return error.errno
    return None


def test_a_closed_stream_is_forgotten() -> None:
    stream = io.StringIO()
    stream.close()
    writer = LineWriter(stream)
    writer.put("line")
    writer.close("last")


def test_a_reader_that_stops_reading_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w", encoding="utf-8")
    writer = LineWriter(stream)
    line = "x" * 1000
    for _ in range(30_000):
        writer.put(line)

    drained = threading.Thread(target=_read_all, args=(reading,))
    drained.start()
    writer.close("last")
    stream.close()
    drained.join()


def _read_all(descriptor: int) -> None:
    with os.fdopen(descriptor, "rb") as pipe:
        assert pipe.read().endswith(b"\nlast\n")


def test_what_an_encoding_lacks_is_written_as_a_question_mark() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    assert write_safely(stream, "━ 10 %\n")
    assert raw.getvalue() == b"? 10 %\n"
