"""The promises I1 to I8, each a function from the evidence to what contradicts it: an empty list is a promise kept.

B is what the provider billed, L the ledger's calls, S the stored pictures. The functions only judge; what they judge was
read by `evidence.py`.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator

from .evidence import SPENT, Attempt, Evidence, read_lines
from .pictures import read

_UNFINISHED = (".part", ".body", ".tmp")


def contradictions(evidence: Evidence, *, leaving_out: Container[str] = ()) -> list[str]:
    """Every promise that the evidence contradicts, in words that begin with its number."""
    checks = ((name, check) for name, check in CHECKS.items() if name not in leaving_out)
    return [f"{name}: {words}" for name, check in checks for words in check(evidence)]


def one_right_picture_each(evidence: Evidence) -> Iterator[str]:
    """I1: every task has exactly one final file, whole, and its pixels name that task."""
    found: Counter[int] = Counter()
    attempts = {attempt.attempt_id: attempt for attempt in evidence.attempts}
    keys = {bill.bill: bill.key for bill in evidence.bills}
    listed = set()
    for picture in evidence.stored:
        assert picture.file_name is not None, "a stored row without a file's name breaks the reader"
        listed.add(picture.file_name)
        number = evidence.numbers[picture.task_id]
        try:
            task, bill = read(evidence.folder / picture.file_name)
        except ValueError as error:
            yield str(error)
            continue
        found[task] += 1
        if task != number:
            yield f"{picture.file_name} shows task {task} and is stored as task {number}"
        if keys.get(bill) != attempts[picture.attempt_id].key:
            yield f"{picture.file_name} shows bill {bill}, which is not of call {picture.attempt_id} that it is stored for"
        if hashlib.sha256((evidence.folder / picture.file_name).read_bytes()).hexdigest() != picture.sha256:
            yield f"{picture.file_name} is not what the ledger hashed"
    for task in sorted(evidence.wanted):
        if found[task] != 1:
            yield f"task {task} has {found[task]} pictures"
    for task in sorted(set(found) - evidence.wanted):
        yield f"task {task} has a picture and was not to have one"
    images = evidence.folder / "images"
    on_disk = {path.relative_to(evidence.folder).as_posix() for path in images.rglob("*") if path.is_file()}
    for name in sorted(on_disk ^ listed):
        yield f"{name} is {'on the disk and not in the ledger' if name in on_disk else 'in the ledger and not on the disk'}"


def every_bill_has_its_row(evidence: Evidence) -> Iterator[str]:
    """I2: B is within L. No purchase without a row that was written before it."""
    rows = {(attempt.key, attempt.task) for attempt in evidence.attempts}
    for bill in evidence.bills:
        if (bill.key, bill.task) not in rows:
            yield f"bill {bill.bill} for task {bill.task} is of a call that the ledger does not know"


def what_is_missing_is_listed(evidence: Evidence) -> Iterator[str]:
    """I3: what was billed and is not stored is at most what the ledger lists as unknown or lost, and what kills explain."""
    missing = len(evidence.bills) - len(evidence.stored)
    unknown = sum(attempt.state == "unknown" for attempt in evidence.attempts)
    lost = sum(state == "lost" for state in evidence.states.values())
    if missing > unknown + lost:
        yield f"{missing} bills have no picture, and only {unknown} calls are listed as unknown and {lost} as lost"
    explained = evidence.kills * evidence.concurrency + evidence.ambiguous
    if missing > explained:
        yield f"{missing} bills have no picture; {evidence.kills} kills explain at most {explained}"


def nothing_known_was_bought_again(evidence: Evidence) -> Iterator[str]:
    """I4: no task is bought again after an answer that is known: only calls of unknown outcome come before the billed one."""
    by_task: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in evidence.attempts:
        by_task[attempt.task_id].append(attempt)
    billed = Counter(bill.task for bill in evidence.bills)
    for attempts in by_task.values():
        task = attempts[0].task
        spent = [attempt for attempt in attempts if attempt.state in SPENT]
        known = [attempt for attempt in spent if attempt.state == "billed"]
        if len(known) > 1:
            yield f"task {task} was bought again, though the answer of call {known[0].attempt_id} was known"
        elif known and known[0] is not spent[-1]:
            yield f"task {task} was bought again after call {known[0].attempt_id} had been answered"
        if billed[task] > len(spent):
            yield f"task {task} was billed {billed[task]} times; the ledger counts {len(spent)} calls as spent"
    known_by_key = Counter(attempt.key for attempt in evidence.attempts if attempt.state == "billed")
    fetched = Counter(bill.key for bill in evidence.bills if bill.bill in evidence.downloaded)
    for key in fetched - known_by_key:
        task = next(bill.task for bill in evidence.bills if bill.key == key)
        yield f"a picture of task {task} was fetched before its answer was written down: the link was lost, and bought again"


def every_billed_row_has_its_bill(evidence: Evidence) -> Iterator[str]:
    """I5: what the ledger calls billed was billed; and nothing is left in between."""
    bills = {(bill.key, bill.task) for bill in evidence.bills}
    for attempt in evidence.attempts:
        if attempt.state == "billed" and (attempt.key, attempt.task) not in bills:
            yield f"call {attempt.attempt_id} of task {attempt.task} is listed as billed, and the provider has no such bill"
        if attempt.state == "sending":
            yield f"call {attempt.attempt_id} of task {attempt.task} is still listed as under way"


def nothing_unfinished_is_left(evidence: Evidence) -> Iterator[str]:
    """I6: no unfinished file, no torn line, the manifest equals the ledger, and the ledger is sound."""
    for path in sorted(evidence.folder.rglob("*")):
        if path.name.endswith(_UNFINISHED) and "unusable" not in path.parts:
            yield f"{path.relative_to(evidence.folder)} was left behind"
    if evidence.integrity != "ok":
        yield f"the ledger is damaged: {evidence.integrity}"
    manifest = evidence.folder / "manifest.jsonl"
    text = manifest.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        yield "the manifest's last line is torn"
        return
    try:
        lines = Counter((line["file_name"], line["task_id"], line["sha256"]) for line in read_lines(manifest))
    except (json.JSONDecodeError, KeyError) as error:
        yield f"the manifest has a line that is none: {error}"
        return
    rows = Counter((picture.file_name, picture.task_id, picture.sha256) for picture in evidence.stored)
    for name, _, _ in sorted((lines - rows).elements()):
        yield f"{name} stands in the manifest once more than in the ledger"
    for name, _, _ in sorted((rows - lines).elements()):
        yield f"{name} is missing in the manifest"


def a_further_run_sends_nothing(evidence: Evidence) -> Iterator[str]:
    """I7: a further run sends no request, changes no picture and ends well."""
    further = evidence.further
    if further is None:
        return
    if further.requests:
        yield f"a further run sent {further.requests} requests"
    if further.exit_code != 0 and not (further.exit_code == 3 and "failed" in evidence.states.values()):
        yield f"a further run ended with {further.exit_code}"
    for name in further.changed:
        yield f"a further run changed {name}"


def a_key_is_billed_once(evidence: Evidence) -> Iterator[str]:
    """I8: with a provider that honours keys, every purchase is billed once, and without new purchases every task is."""
    if not evidence.honours_keys:
        return
    for key, times in Counter(bill.key for bill in evidence.bills).items():
        if times > 1:
            yield f"key {key} was billed {times} times by a provider that honours keys"
    if not evidence.bought_again and len(evidence.bills) != len(evidence.wanted):
        yield f"{len(evidence.bills)} bills for {len(evidence.wanted)} tasks"
    keys: dict[tuple[str, int], set[str]] = defaultdict(set)
    for attempt in evidence.attempts:
        keys[attempt.task_id, attempt.purchase].add(attempt.key)
    for (task_id, purchase), used in keys.items():
        if len(used) > 1:
            yield f"purchase {purchase} of task {evidence.numbers[task_id]} was sent under {len(used)} keys"


def totals_are_the_sum(evidence: Evidence) -> Iterator[str]:
    """The totals of every scope are the sum of its calls, and they count at least what the provider billed."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for attempt in evidence.attempts:
        for scope in attempt.scopes:
            sums[scope].update(_amounts(attempt))
    for scope, row in evidence.totals.items():
        for column in ("calls", *(f"images_{word}" for word in _WORDS.values()), *_WORDS.values()):
            if row[column] != sums[scope][column]:
                yield f"{column} of {scope} is {row[column]}, and its calls add up to {sums[scope][column]}"
    life = evidence.totals.get("life", {})
    counted = life.get("images_billed", 0) + life.get("images_maybe", 0)
    if counted < len(evidence.bills):
        yield f"the ledger counts {counted} pictures as spent, and the provider billed {len(evidence.bills)}"
    prices = [attempt.price or 0 for attempt in evidence.attempts]
    money = life.get("billed", 0) + life.get("maybe", 0)
    if prices and money < len(evidence.bills) * min(prices):
        yield f"the ledger counts {money} millionths as spent, which is less than the bills"


_WORDS = {"sending": "reserved", "billed": "billed", "unknown": "maybe"}
"""The state of a call, and the word under which its money is counted."""


def _amounts(attempt: Attempt) -> dict[str, int]:
    amounts = {"calls": int(attempt.state != "returned")}
    word = _WORDS.get(attempt.state)
    if word is not None:
        cost = attempt.cost if attempt.cost is not None else (attempt.price or 0) * attempt.images
        amounts |= {f"images_{word}": attempt.images, word: cost}
    return amounts


CHECKS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "I1": one_right_picture_each,
    "I2": every_bill_has_its_row,
    "I3": what_is_missing_is_listed,
    "I4": nothing_known_was_bought_again,
    "I5": every_billed_row_has_its_bill,
    "I6": nothing_unfinished_is_left,
    "I7": a_further_run_sends_nothing,
    "I8": a_key_is_billed_once,
    "totals": totals_are_the_sum,
}
