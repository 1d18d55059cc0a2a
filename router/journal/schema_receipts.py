"""The receipts' table by destination and state, and what is known of the way to each destination.

A part of the migration that leads from version 6 to 7.
"""

from __future__ import annotations

# What a destination holds up is held there, and nowhere else. What an earlier router held everywhere
# for one destination's sake goes on at the others.
RECEIPTS = """
    CREATE TABLE receipt_next (
        instance TEXT NOT NULL REFERENCES instance (orthanc_id),
        destination TEXT NOT NULL,
        study TEXT NOT NULL,
        state TEXT NOT NULL,               -- of router.records.receipt's table
        digest TEXT NOT NULL,              -- of the bytes that are sent
        md5 TEXT,                          -- of the file, where it is sent in another syntax
        syntax TEXT,                       -- NULL: sent as the copy is stored
        size INTEGER NOT NULL,
        place REAL NOT NULL,               -- when the study came, less its head start
        rank INTEGER NOT NULL,
        series TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        breaks INTEGER NOT NULL DEFAULT 0, -- how often the link broke in the middle of it
        due_at REAL NOT NULL,
        last_code TEXT,
        begun_at REAL,
        sent_at REAL,
        verified_at REAL,
        verified_by TEXT,
        hold_code TEXT,
        hold_detail TEXT,
        held_at REAL,
        PRIMARY KEY (instance, destination),
        CHECK ((state = 'VERIFIED') = (verified_at IS NOT NULL)),
        CHECK ((verified_at IS NULL) = (verified_by IS NULL)),
        CHECK (state <> 'SENT' OR sent_at IS NOT NULL),
        CHECK (state <> 'WAITING' OR begun_at IS NULL AND sent_at IS NULL),
        CHECK ((state = 'HELD') = (hold_code IS NOT NULL))
    ) STRICT;
    INSERT INTO receipt_next
        SELECT r.instance, r.destination, r.study,
            CASE WHEN r.verified_at IS NOT NULL THEN 'VERIFIED'
                WHEN h.orthanc_id IS NOT NULL THEN 'HELD'
                WHEN r.sent_at IS NOT NULL THEN 'SENT'
                WHEN r.begun_at IS NOT NULL THEN 'UNCERTAIN' ELSE 'WAITING' END,
            r.digest, r.md5, r.syntax, r.size, r.place, r.rank, r.series, r.ordinal, r.attempts,
            r.breaks, r.due_at, r.last_code, r.begun_at, r.sent_at, r.verified_at, r.verified_by,
            h.hold_code, h.hold_detail, h.held_at
        FROM receipt r LEFT JOIN instance h ON h.orthanc_id = r.instance
            AND h.hold_destination = r.destination AND h.hold_code <> 'COPY_DIFFERS'
            AND r.verified_at IS NULL;
    -- Held by a destination that was no longer configured at a later start: its receipt had gone.
    INSERT OR IGNORE INTO receipt_next (instance, destination, study, state, digest, size, place,
            rank, series, ordinal, due_at, hold_code, hold_detail, held_at)
        SELECT i.orthanc_id, i.hold_destination, i.study, 'HELD', i.digest, i.size,
            s.received_at - s.priority * 259200.0, i.rank, i.series_uid,
            coalesce(i.instance_number, 0), i.held_at, i.hold_code, i.hold_detail, i.held_at
        FROM instance i JOIN study s ON s.orthanc_id = i.study
        WHERE i.hold_destination IS NOT NULL AND i.hold_code <> 'COPY_DIFFERS'
            AND i.digest IS NOT NULL;
    DROP TABLE receipt;
    ALTER TABLE receipt_next RENAME TO receipt;
    CREATE INDEX receipt_waiting ON receipt (destination, place, study, rank, series, ordinal)
        WHERE state IN ('WAITING', 'UNCERTAIN');
    CREATE INDEX receipt_unverified ON receipt (destination, sent_at) WHERE state = 'SENT';
    CREATE INDEX receipt_open ON receipt (destination, size, due_at)
        WHERE state IN ('WAITING', 'UNCERTAIN', 'SENT');
    CREATE INDEX receipt_held ON receipt (held_at, hold_code, study) WHERE hold_code IS NOT NULL;
    CREATE INDEX receipt_study ON receipt (study);

    UPDATE instance SET stage = 'ANONYMIZED', hold_code = NULL, hold_detail = NULL, held_at = NULL
        WHERE hold_destination IS NOT NULL AND hold_code <> 'COPY_DIFFERS' AND digest IS NOT NULL;
    ALTER TABLE instance DROP COLUMN hold_destination;
    -- Their studies were at rest, and are not; or were held, and something of them has arrived.
    UPDATE study SET state = 'RECEIVED', generation = generation + 1, attempts = 0,
            due_at = changed_at, last_code = NULL
        WHERE state IN ('DELIVERED', 'HELD') AND EXISTS
            (SELECT 1 FROM instance i JOIN receipt r ON r.instance = i.orthanc_id
            WHERE i.study = study.orthanc_id AND i.stage = 'ANONYMIZED'
            AND (r.state IN ('WAITING', 'UNCERTAIN', 'SENT')
                OR study.state = 'HELD' AND r.state = 'VERIFIED'));

    CREATE TABLE destination (             -- what is known of the way to it
        name TEXT PRIMARY KEY,
        reached_at REAL,                   -- when it first answered as it should; NULL: never yet
        code TEXT,                         -- why nothing goes there now; NULL: it goes
        since REAL NOT NULL
    ) STRICT;
    INSERT INTO destination (name, reached_at, since)
        SELECT destination, min(coalesce(sent_at, verified_at)),
            min(coalesce(sent_at, verified_at)) FROM receipt
        WHERE coalesce(sent_at, verified_at) IS NOT NULL GROUP BY destination;
"""
