-- Version 1. Times are seconds since 1970-01-01 UTC, points are exact to a tenth. What differs between two runs of the
-- same submissions stands in columns whose names end in `_at`, `_seconds`, or that are called host, cached or attempts.

CREATE TABLE runs (
    run         INTEGER PRIMARY KEY,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,                    -- NULL: killed, interrupted, or still going on
    host        TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('batch', 'regrade', 'merge')),
    roster      TEXT NOT NULL,              -- SHA-256 of the roster
    seed        TEXT NOT NULL,              -- 'derived', 'derived with key …', or a number
    grader      TEXT NOT NULL,              -- version of the harness, and digest of its sources
    shard       TEXT NOT NULL,              -- '1/1', or as in '2/16'
    only        TEXT NOT NULL               -- pattern of --only; empty where there was none
) STRICT;

CREATE TABLE labs (
    run      INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    position INTEGER NOT NULL,
    lab      TEXT NOT NULL,
    title    TEXT NOT NULL,
    version  TEXT NOT NULL,                 -- SHA-256 of lab.yaml
    points   REAL NOT NULL,
    PRIMARY KEY (run, lab)
) STRICT, WITHOUT ROWID;

CREATE TABLE students (
    run      INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    position INTEGER NOT NULL,              -- in the roster
    student  TEXT NOT NULL,
    name     TEXT NOT NULL,
    team     TEXT NOT NULL,                 -- the roster's group; empty where there is none
    PRIMARY KEY (run, student)
) STRICT, WITHOUT ROWID;

-- One row a student and lab. It is 'due' until somebody looked for the submission, 'found' until it is graded.
CREATE TABLE submissions (
    run           INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    student       TEXT NOT NULL,
    lab           TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('due', 'found', 'missing', 'error', 'graded')),
    reason        TEXT NOT NULL DEFAULT '', -- of 'missing' and 'error'
    note          TEXT NOT NULL DEFAULT '', -- what a person should look at
    attempts      INTEGER NOT NULL DEFAULT 0,
    repository    TEXT NOT NULL DEFAULT '', -- without passwords
    wanted        TEXT NOT NULL DEFAULT '', -- 'branch …' or 'tag …'
    commit_id     TEXT,                     -- the commit that is graded
    commit_time   INTEGER,                  -- its committer's date
    head_id       TEXT,                     -- the last commit of the branch
    head_time     INTEGER,
    later         INTEGER,                  -- commits that came too late to be graded
    due           INTEGER,
    late          INTEGER,                  -- seconds that the graded commit is late by; 0 where it is not
    rule          TEXT NOT NULL DEFAULT '', -- which commit is graded, and why
    grade_key     TEXT,                     -- digest of all that decides the grade; names the folder of its transcripts
    kernel        TEXT,                     -- the kernel kind
    source        TEXT,                     -- SHA-256 of the source tree
    seed          TEXT,
    outcome       TEXT CHECK (outcome IN ('passed', 'failed', 'error')),
    earned        REAL,
    max           REAL,
    compiler      TEXT,
    qemu          TEXT,
    course        TEXT,                     -- SHA-256 of the course's files that went into it
    document      TEXT REFERENCES documents (digest),
    fingerprint   BLOB,                     -- of the submitted files, for likenesses; 32-bit numbers, little-endian
    cached        INTEGER NOT NULL DEFAULT 0,
    graded_at     INTEGER,
    spent_seconds REAL,
    PRIMARY KEY (run, student, lab)
) STRICT, WITHOUT ROWID;

CREATE TABLE checks (
    run      INTEGER NOT NULL,
    student  TEXT NOT NULL,
    lab      TEXT NOT NULL,
    position INTEGER NOT NULL,
    name     TEXT NOT NULL,
    title    TEXT NOT NULL,
    proof    TEXT NOT NULL,                 -- attestation: what the verdict rests on
    verdict  TEXT NOT NULL CHECK (verdict IN ('pass', 'fail', 'error', 'skipped')),
    reason   TEXT NOT NULL,
    earned   REAL NOT NULL,
    max      REAL NOT NULL,
    PRIMARY KEY (run, student, lab, position),
    FOREIGN KEY (run, student, lab) REFERENCES submissions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    run         INTEGER NOT NULL,
    student     TEXT NOT NULL,
    lab         TEXT NOT NULL,
    position    INTEGER NOT NULL,
    session     TEXT NOT NULL,
    ending      TEXT NOT NULL,
    explanation TEXT NOT NULL,
    operations  INTEGER NOT NULL,
    plan        TEXT NOT NULL,              -- digest of what was booted and how; tells which sessions a lab changed
    PRIMARY KEY (run, student, lab, position),
    FOREIGN KEY (run, student, lab) REFERENCES submissions ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Grade documents, each once however many runs gave the same one.
CREATE TABLE documents (
    digest TEXT PRIMARY KEY,                -- SHA-256 of the text
    grade  TEXT NOT NULL                    -- JSON, schema grader/grade/v1
) STRICT;

CREATE INDEX submissions_by_student ON submissions (student, lab, run);
