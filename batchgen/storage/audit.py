"""Whether the files still are what the ledger says: every stored picture is read and hashed again.

A run trusts the ledger about files; this does not. What is missing or changed goes back to waiting while its link
lives, else it is lost; a changed file is left where it is, because nothing is ever overwritten or deleted here.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from batchgen.storage.disk import sha256_below
from batchgen.storage.landings import end_picture, wait_again


@dataclass(frozen=True, slots=True)
class Finding:
    """One stored picture that is not what it was; `what` is `missing` or `changed`."""

    picture_id: int
    file_name: str
    what: str
    link_lives: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """How many pictures were read, and those that are not what they were."""

    pictures: int
    findings: tuple[Finding, ...]


def check_files(connection: sqlite3.Connection, folder: Path, now: float) -> Checked:
    """Read every stored picture of the ledger and compare it with its hash. Writes nothing."""
    rows = connection.execute(
        "SELECT picture_id, file_name, sha256, url, expires_at FROM pictures WHERE state = 'stored' ORDER BY picture_id"
    ).fetchall()
    findings = []
    for row in rows:
        found = sha256_below(folder, row["file_name"])
        if found != row["sha256"]:
            lives = row["url"] is not None and row["expires_at"] > now
            what = "missing" if found is None else "changed"
            findings.append(Finding(row["picture_id"], row["file_name"], what, lives))
    return Checked(len(rows), tuple(findings))


def settle(connection: sqlite3.Connection, findings: tuple[Finding, ...]) -> None:
    """Write what was found into the ledger: back to waiting where the link lives, else lost."""
    for finding in findings:
        if finding.link_lives:
            wait_again(connection, finding.picture_id)
        else:
            words = f"the file is {finding.what} and its link is dead"
            end_picture(connection, finding.picture_id, "lost", words)
