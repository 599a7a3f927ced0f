"""The ledger's tables, and how an older ledger becomes a newer one.

Money is integer millionths with its currency; times are UTC seconds since the epoch; states are the words of the
design. The list of migrations only ever grows. A ledger may come from a stranger: what its schema holds beside this is a
rule of somebody else, and is named.
"""

import contextlib
import functools
import sqlite3

from batchgen.outside import clean

VERSION = 3

_V1 = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE jobs(sha256 TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE runs(
  run_id TEXT PRIMARY KEY, job TEXT NOT NULL, job_sha256 TEXT NOT NULL REFERENCES jobs, night TEXT NOT NULL,
  version TEXT NOT NULL, started_at REAL NOT NULL, ended_at REAL, exit_code INTEGER
) WITHOUT ROWID;
CREATE TABLE tasks(
  task_id TEXT PRIMARY KEY, state TEXT NOT NULL, label TEXT NOT NULL, model TEXT NOT NULL,
  name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE, record TEXT NOT NULL, purchase INTEGER NOT NULL,
  kind TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX tasks_by_state ON tasks(state) WHERE state != 'stored';
CREATE TABLE attempts(
  attempt_id INTEGER PRIMARY KEY, task_id TEXT NOT NULL REFERENCES tasks, run_id TEXT NOT NULL,
  purchase INTEGER NOT NULL, idempotency_key TEXT NOT NULL, state TEXT NOT NULL, from_state TEXT NOT NULL,
  again INTEGER NOT NULL, images INTEGER NOT NULL, price INTEGER, currency TEXT NOT NULL, scopes TEXT NOT NULL,
  cost INTEGER, posted INTEGER NOT NULL DEFAULT 0, status INTEGER, kind TEXT NOT NULL DEFAULT '',
  message TEXT NOT NULL DEFAULT '', request_id TEXT NOT NULL DEFAULT '', latency_s REAL,
  sent_at REAL NOT NULL, ended_at REAL
);
CREATE INDEX attempts_by_task ON attempts(task_id);
CREATE INDEX attempts_sending ON attempts(attempt_id) WHERE state = 'sending';
CREATE INDEX attempts_again ON attempts(run_id) WHERE again = 1;
CREATE TABLE pictures(
  picture_id INTEGER PRIMARY KEY, task_id TEXT NOT NULL REFERENCES tasks, attempt_id INTEGER NOT NULL REFERENCES attempts,
  run_id TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, url TEXT, spool TEXT, item INTEGER NOT NULL,
  billed_at REAL NOT NULL, expires_at REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '',
  file_name TEXT, bytes INTEGER, width INTEGER, height INTEGER, format TEXT, sha256 TEXT, source_sha256 TEXT,
  flags TEXT NOT NULL DEFAULT '[]', stored_at REAL, manifest_line INTEGER
);
CREATE INDEX pictures_by_task ON pictures(task_id);
CREATE INDEX pictures_waiting ON pictures(expires_at) WHERE state = 'waiting';
CREATE INDEX pictures_by_source ON pictures(source_sha256);
CREATE TABLE totals(
  scope TEXT NOT NULL, currency TEXT NOT NULL, calls INTEGER NOT NULL DEFAULT 0,
  images_reserved INTEGER NOT NULL DEFAULT 0, images_billed INTEGER NOT NULL DEFAULT 0, images_maybe INTEGER NOT NULL DEFAULT 0,
  reserved INTEGER NOT NULL DEFAULT 0, billed INTEGER NOT NULL DEFAULT 0, maybe INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (scope, currency)
) WITHOUT ROWID;
"""

_V2 = """
ALTER TABLE pictures ADD COLUMN look INTEGER;
ALTER TABLE pictures ADD COLUMN kin TEXT NOT NULL DEFAULT '';
CREATE INDEX pictures_by_kin ON pictures(kin) WHERE kin != '';
"""
"""What pictures look like, for near duplicates: `look` as signed 64 bits, `kin` equal where only the seed differs."""

_V3 = """
ALTER TABLE runs ADD COLUMN tasks INTEGER;
ALTER TABLE runs ADD COLUMN renewed INTEGER;
ALTER TABLE runs ADD COLUMN reason TEXT NOT NULL DEFAULT '';
"""
"""What each run was asked for: tasks, how many of them are its night's alone, and why it ended before they did."""

_MIGRATIONS = (_V1, _V2, _V3)


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of a ledger; 0 is a new file."""
    row: tuple[int] = connection.execute("PRAGMA user_version").fetchone()
    return row[0]


def stranger_in(connection: sqlite3.Connection) -> str:
    """What in a ledger's schema is not of its version, in words; empty when all is.

    Any text that differs counts: a constraint, a generated column or a trigger could take back what a budget counts.
    Raises sqlite3.DatabaseError for a schema that SQLite itself cannot read.
    """
    version = version_of(connection)
    expected = _made_by(version) if 0 <= version <= VERSION else {}
    found = _things(connection)
    for (kind, name), text in found.items():
        if expected.get((kind, name)) != text:
            return f"a {kind} “{clean(name, 60)}” that batchgen never made"
    missing = next((name for kind, name in expected if (kind, name) not in found), "")
    return f"no “{missing}”, which batchgen never leaves out" if missing else ""


def misfit_in(connection: sqlite3.Connection) -> str:
    """The column of a ledger that holds a value of another type than its own, as `table.column`; empty without one.

    SQLite keeps any value in any column. Reads every table whole. Raises sqlite3.Error.
    """
    version = version_of(connection)
    for table in (name for kind, name in _made_by(version) if kind == "table"):
        odd = _odd_values(table, version)
        # All columns at once: a sound table is read a single time.
        for column, words in (("", " OR ".join(words for _, words in odd)), *odd):
            found = connection.execute(f"SELECT 1 FROM {table} WHERE {words} LIMIT 1").fetchone()  # noqa: S608  # own words
            if column and found:
                return f"{table}.{column}"
            if not column and not found:
                break
    return ""


def migrate(connection: sqlite3.Connection, version: int = VERSION) -> None:
    """Bring a ledger of an older version, or a new one, to `version`, each step in one transaction."""
    for number in range(version_of(connection), version):
        connection.executescript(f"BEGIN IMMEDIATE; {_MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")


@functools.cache
def _made_by(version: int) -> dict[tuple[str, str], str]:
    """What a ledger of that version holds: made the way a real one is, since each step changes the texts of the last."""
    with contextlib.closing(_model(version)) as model:
        return _things(model)


def _model(version: int) -> sqlite3.Connection:
    model = sqlite3.connect(":memory:", isolation_level=None)
    migrate(model, version)
    return model


def _things(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Type and name of everything in a schema, with its SQL; the statistics that `ANALYZE` leaves are left out."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return {
        (str(kind), str(name)): f"{table} {sql}"
        for kind, name, table, sql in rows
        # Without a text of its own an index is what its table's text makes it.
        if str(sql) not in _STATISTICS and not (kind == "index" and sql is None)
    }


_STATISTICS = ("CREATE TABLE sqlite_stat1(tbl,idx,stat)", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)")

_FITTING = {"TEXT": ("text",), "INTEGER": ("integer",), "REAL": ("real", "integer"), "BLOB": ("blob",)}
_LAST_MOMENT = 253_000_000_000
"""Seconds since the epoch: no calendar goes on behind the year 9999. Durations are shorter."""


@functools.cache
def _odd_values(table: str, version: int) -> tuple[tuple[str, str], ...]:
    with contextlib.closing(_model(version)) as model:
        columns = model.execute(f"PRAGMA table_info({table})").fetchall()
    odd = []
    for _, column, kind, not_null, _, key in columns:
        fitting = _FITTING[kind] + (() if not_null or key else ("null",))
        words = f"typeof({column}) NOT IN ({', '.join(map(repr, fitting))})"
        odd.append((column, words + (f" OR {column} NOT BETWEEN 0 AND {_LAST_MOMENT}" if kind == "REAL" else "")))
    return tuple(odd)
