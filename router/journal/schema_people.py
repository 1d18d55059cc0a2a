"""The part of the newest migration that is about patients: whose a study is, and what became of it.

Names and numbers stand in blobs with a scheme byte, as in the table ``identity``.
"""

from __future__ import annotations

PEOPLE = """
    CREATE TABLE study_patient (           -- one patient a study, from its first copy on
        study TEXT PRIMARY KEY REFERENCES study (orthanc_id),
        pseudonym TEXT NOT NULL,
        issuer TEXT NOT NULL,              -- of her number, as it enters the pseudonym
        said TEXT NOT NULL                 -- the first issuer that an image named; empty: none did
    ) STRICT;

    CREATE TABLE likely_patient (          -- written otherwise, and probably the same person
        study TEXT NOT NULL REFERENCES study (orthanc_id),
        field TEXT NOT NULL,
        pseudonym TEXT NOT NULL,
        scheme INTEGER NOT NULL,           -- 0 is JSON in the clear
        blob BLOB NOT NULL,                -- what the study says of her
        noted_at REAL NOT NULL,
        PRIMARY KEY (study, field)
    ) STRICT;

    CREATE TABLE hold_conflict (           -- the other side of what a held image conflicts with
        instance TEXT PRIMARY KEY REFERENCES instance (orthanc_id),
        pseudonym TEXT,                    -- a known patient
        other TEXT,                        -- another image
        scheme INTEGER NOT NULL,
        blob BLOB NOT NULL                 -- what the held image says of its patient
    ) STRICT;

    CREATE TABLE correction (              -- a study that takes the place of a rejected one
        study TEXT PRIMARY KEY REFERENCES study (orthanc_id),
        original TEXT NOT NULL,            -- the pseudonymous Study UID before any correction
        number INTEGER NOT NULL,           -- enters the study's UIDs
        replaces TEXT NOT NULL REFERENCES study (orthanc_id),
        title TEXT NOT NULL,               -- of the rejection note (CID 7011)
        note TEXT,                         -- the note's instance; NULL: nothing had left the truck
        decided_at REAL NOT NULL,
        UNIQUE (original, number)
    ) STRICT;
    CREATE UNIQUE INDEX correction_replaces ON correction (replaces);
    CREATE INDEX correction_note ON correction (note);

    CREATE TABLE archive_told (            -- who takes no note was given the list by hand
        study TEXT NOT NULL REFERENCES study (orthanc_id),
        destination TEXT NOT NULL,
        told_at REAL NOT NULL,
        PRIMARY KEY (study, destination)
    ) STRICT;

    CREATE TABLE removal (                 -- discarded before it left: its files leave the truck
        instance TEXT PRIMARY KEY REFERENCES instance (orthanc_id),
        digest TEXT                        -- of what is removed, before it is: nothing else may go
    ) STRICT;

    CREATE TABLE issuer_table (            -- the programme's table, as it was when patients became known
        only INTEGER PRIMARY KEY CHECK (only = 1),
        definition TEXT NOT NULL           -- JSON
    ) STRICT;
"""
