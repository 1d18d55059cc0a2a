"""The journal's tables, as ordered migrations. A migration that was released is never edited."""

from __future__ import annotations

#: ``MIGRATIONS[n]`` leads from version n to n + 1 (PRAGMA user_version).
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE cursor (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        database TEXT NOT NULL,            -- which Orthanc index the number belongs to
        sequence INTEGER NOT NULL          -- the last change that was taken in
    ) STRICT;

    CREATE TABLE study (
        orthanc_id TEXT PRIMARY KEY,
        alias TEXT NOT NULL,               -- keyed; stands for the study in logs
        state TEXT NOT NULL,
        generation INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        due_at REAL,                       -- NULL while the scanner is still sending
        last_code TEXT,                    -- why the step is being retried
        key_id TEXT NOT NULL,
        profile_id TEXT NOT NULL,
        received_at REAL NOT NULL,
        changed_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX study_due ON study (state, due_at);

    CREATE TABLE instance (
        orthanc_id TEXT PRIMARY KEY,       -- the original's; a capture's own
        study TEXT NOT NULL REFERENCES study (orthanc_id),
        role TEXT NOT NULL,
        source TEXT REFERENCES instance (orthanc_id),  -- what a capture was made of
        stage TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        origin TEXT NOT NULL,
        received_at REAL NOT NULL,
        analysis TEXT,
        policy TEXT NOT NULL DEFAULT '',   -- the one that a person released it under
        hold_code TEXT,
        hold_detail TEXT,
        hold_destination TEXT,             -- the one that refused it; the others go on
        held_at REAL,
        -- the copy that is sent: written before it is stored, so that it is known as our own
        copy_id TEXT UNIQUE,
        study_uid TEXT,
        series_uid TEXT,
        sop_uid TEXT,
        sop_class TEXT,
        modality TEXT,
        transfer_syntax TEXT,
        instance_number INTEGER,
        digest TEXT,
        md5 TEXT,
        size INTEGER,
        CHECK ((stage = 'HELD') = (hold_code IS NOT NULL)),
        CHECK (stage <> 'ANONYMIZED' OR digest IS NOT NULL),
        CHECK ((role = 'CAPTURE') = (source IS NOT NULL))
    ) STRICT;
    CREATE INDEX instance_study ON instance (study, stage);
    CREATE INDEX instance_sop_uid ON instance (sop_uid);
    CREATE INDEX instance_held ON instance (hold_code) WHERE hold_code IS NOT NULL;

    CREATE TABLE receipt (
        instance TEXT NOT NULL REFERENCES instance (orthanc_id),
        destination TEXT NOT NULL,
        digest TEXT NOT NULL,              -- of the bytes that are sent
        size INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        due_at REAL NOT NULL,
        last_code TEXT,
        begun_at REAL,
        sent_at REAL,
        verified_at REAL,
        verified_by TEXT,
        breaks INTEGER NOT NULL DEFAULT 0, -- how often the link broke in the middle of it
        PRIMARY KEY (instance, destination),
        CHECK ((verified_at IS NULL) = (verified_by IS NULL))
    ) STRICT;
    CREATE INDEX receipt_open ON receipt (destination, due_at) WHERE verified_at IS NULL;

    CREATE TABLE identity (                -- pseudonym -> patient; leaves the truck never
        kind TEXT NOT NULL,                -- patient or accession
        pseudonym TEXT NOT NULL,
        key_id TEXT NOT NULL,
        scheme INTEGER NOT NULL,           -- how the blob is written: 0 is JSON in the clear
        blob BLOB NOT NULL,
        first_used_at REAL NOT NULL,
        PRIMARY KEY (kind, pseudonym)
    ) STRICT;
    """,
    """
    CREATE TABLE profile (                 -- what the profile_id of a study stands for
        id TEXT PRIMARY KEY,
        definition TEXT NOT NULL           -- options and lists, as JSON
    ) STRICT;
    CREATE TABLE programme_key (           -- the keys that were ever used
        id TEXT PRIMARY KEY,
        fingerprint TEXT NOT NULL          -- keyed: says whether it is the same, and nothing of it
    ) STRICT;
    CREATE INDEX instance_study_uid ON instance (study_uid);
    """,
)

NEWEST = len(MIGRATIONS)
