"""The ledger's tables, and how an older ledger becomes a newer one.

Money is integer millionths with its currency; times are UTC seconds since the epoch; states are the words of the
design. The list of migrations only ever grows.
"""

import sqlite3

VERSION = 1

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

_MIGRATIONS = (_V1,)


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version of a ledger; 0 is a new file."""
    row: tuple[int] = connection.execute("PRAGMA user_version").fetchone()
    return row[0]


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a ledger of an older version, or a new one, to `VERSION` in one transaction."""
    for number in range(version_of(connection), VERSION):
        connection.executescript(f"BEGIN IMMEDIATE; {_MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")
