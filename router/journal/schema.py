"""The journal's tables, as ordered migrations. A migration that was released is never edited."""

from __future__ import annotations

from router.journal.schema_content import CONTENT
from router.journal.schema_people import PEOPLE
from router.journal.schema_receipts import RECEIPTS
from router.journal.schema_standing import STANDING

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
    # Routing, the order of sending, other transfer syntaxes, purge, and what is parked.
    """
    ALTER TABLE study ADD COLUMN priority INTEGER NOT NULL DEFAULT -9;
    ALTER TABLE study ADD COLUMN purged_at REAL;
    UPDATE study SET priority = 0;
    CREATE INDEX study_alias ON study (alias);
    CREATE INDEX study_received ON study (received_at);
    CREATE INDEX study_key ON study (key_id);

    ALTER TABLE instance ADD COLUMN rank INTEGER NOT NULL DEFAULT 2;
    ALTER TABLE instance ADD COLUMN original_digest TEXT;   -- of what the scanner sent
    ALTER TABLE instance ADD COLUMN original_size INTEGER;
    ALTER TABLE instance ADD COLUMN purged_at REAL;
    ALTER TABLE instance ADD COLUMN step_at REAL;           -- a step is at it; at a start: it died
    ALTER TABLE instance ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
    UPDATE instance SET rank = 0 WHERE role = 'CAPTURE';
    CREATE INDEX instance_present ON instance (received_at) WHERE purged_at IS NULL;
    CREATE INDEX instance_purged ON instance (purged_at) WHERE purged_at IS NOT NULL;
    CREATE INDEX instance_step ON instance (step_at) WHERE step_at IS NOT NULL;
    CREATE INDEX instance_source ON instance (source) WHERE source IS NOT NULL;
    DROP INDEX instance_held;
    CREATE INDEX instance_held ON instance (held_at, hold_code, study)
        WHERE hold_code IS NOT NULL;

    ALTER TABLE receipt ADD COLUMN study TEXT NOT NULL DEFAULT '';
    ALTER TABLE receipt ADD COLUMN place REAL NOT NULL DEFAULT 0;   -- when the study came, less its head start
    ALTER TABLE receipt ADD COLUMN rank INTEGER NOT NULL DEFAULT 2;
    ALTER TABLE receipt ADD COLUMN series TEXT NOT NULL DEFAULT '';
    ALTER TABLE receipt ADD COLUMN ordinal INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE receipt ADD COLUMN syntax TEXT;             -- NULL: sent as the copy is stored
    ALTER TABLE receipt ADD COLUMN md5 TEXT;                -- of the file in that syntax
    UPDATE receipt SET study = i.study, rank = i.rank, series = coalesce(i.series_uid, ''),
        ordinal = coalesce(i.instance_number, 0), place = s.received_at
        FROM instance i JOIN study s ON s.orthanc_id = i.study
        WHERE i.orthanc_id = receipt.instance;
    DROP INDEX receipt_open;
    CREATE INDEX receipt_waiting ON receipt (destination, place, study, rank, series, ordinal)
        WHERE sent_at IS NULL AND verified_at IS NULL;
    CREATE INDEX receipt_unverified ON receipt (destination, sent_at)
        WHERE sent_at IS NOT NULL AND verified_at IS NULL;
    CREATE INDEX receipt_open ON receipt (destination, size, due_at) WHERE verified_at IS NULL;
    CREATE INDEX receipt_study ON receipt (study);

    CREATE TABLE sighting (                -- what the scanner sent, whether Orthanc kept it or not
        sop_uid TEXT NOT NULL,             -- the pseudonymous one
        digest TEXT NOT NULL,              -- of the data set, as it came
        seen_at REAL NOT NULL,
        settled INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (sop_uid, digest)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sighting_open ON sighting (sop_uid) WHERE settled = 0;
    CREATE INDEX sighting_age ON sighting (seen_at);
    """,
    # What the routing rules decided of each image. Written once.
    """
    CREATE TABLE route (
        instance TEXT PRIMARY KEY REFERENCES instance (orthanc_id),
        rule TEXT NOT NULL,
        destinations TEXT,                 -- JSON list; NULL: every one
        priority INTEGER NOT NULL,
        policy TEXT NOT NULL,
        analyses TEXT                      -- JSON list; NULL: every one
    ) STRICT;
    CREATE INDEX instance_nowhere ON instance (hold_code) WHERE hold_code = 'NO_DESTINATION';
    """,
    # What was seen of each image as it arrived.
    """
    CREATE TABLE quality (                 -- what was seen of an original; stays on the truck
        instance TEXT PRIMARY KEY,
        study TEXT NOT NULL,
        looked_at REAL NOT NULL,
        code TEXT,                         -- why its pixels were not looked at
        modality TEXT NOT NULL,
        view TEXT NOT NULL,
        device TEXT NOT NULL,              -- a hash: baselines are per device and view
        acquisition TEXT NOT NULL,         -- JSON
        features TEXT NOT NULL             -- JSON: name -> figure
    ) STRICT;
    CREATE INDEX quality_study ON quality (study);
    CREATE INDEX quality_baseline ON quality (device, modality, view, looked_at);

    CREATE TABLE quality_flag (
        instance TEXT NOT NULL REFERENCES quality (instance),
        flag TEXT NOT NULL,
        value REAL NOT NULL,
        bound REAL NOT NULL,
        PRIMARY KEY (instance, flag)
    ) STRICT;

    CREATE TABLE quality_total (           -- for metrics: they never go back with a restart
        modality TEXT NOT NULL,
        view TEXT NOT NULL,
        feature TEXT NOT NULL,
        number INTEGER NOT NULL,
        total REAL NOT NULL,
        squares REAL NOT NULL,
        PRIMARY KEY (modality, view, feature)
    ) STRICT;

    CREATE TABLE quality_expected (        -- for one patient: other views than the protocol's
        study TEXT PRIMARY KEY,
        views TEXT NOT NULL                -- JSON list
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
    # Devices are told apart. What was counted before is that of the first of its kind.
    """
    CREATE TABLE device (                  -- few: its name is a label of metrics
        name TEXT PRIMARY KEY,             -- MG-1, MG-2 …: all of it that leaves the truck
        kind TEXT NOT NULL,                -- CT, MG …
        machine TEXT NOT NULL UNIQUE,      -- a hash
        build TEXT NOT NULL,               -- JSON: maker, model, software
        images INTEGER NOT NULL,
        seen_at REAL NOT NULL
    ) STRICT;
    CREATE TABLE device_view (             -- what it makes: which of it metrics show
        device TEXT NOT NULL,
        modality TEXT NOT NULL,
        view TEXT NOT NULL,
        images INTEGER NOT NULL,
        seen_at REAL NOT NULL,
        PRIMARY KEY (device, modality, view)
    ) STRICT;

    ALTER TABLE quality_total RENAME TO quality_total_before;
    CREATE TABLE quality_total (           -- for metrics: they never go back with a restart
        device TEXT NOT NULL,
        modality TEXT NOT NULL,
        view TEXT NOT NULL,
        feature TEXT NOT NULL,
        number INTEGER NOT NULL,
        total REAL NOT NULL,
        squares REAL NOT NULL,
        PRIMARY KEY (device, modality, view, feature)
    ) STRICT;
    INSERT INTO quality_total
        SELECT iif(modality = 'DBT', 'MG', modality) || '-1', * FROM quality_total_before;
    DROP TABLE quality_total_before;

    CREATE TABLE quality_flag_total (
        device TEXT NOT NULL,
        modality TEXT NOT NULL,
        flag TEXT NOT NULL,
        number INTEGER NOT NULL,
        raised_at REAL NOT NULL,
        PRIMARY KEY (device, modality, flag)
    ) STRICT;
    INSERT INTO quality_flag_total
        SELECT iif(q.modality = 'DBT', 'MG', q.modality) || '-1', q.modality, f.flag, count(*),
            max(q.looked_at)
        FROM quality_flag f JOIN quality q ON q.instance = f.instance GROUP BY 1, 2, 3;
    """,
    # Who the patients are, a mark for what the quality check is at, and holds by destination.
    f"""
    {PEOPLE}

    ALTER TABLE instance ADD COLUMN look_at REAL;   -- the quality check is at it; at a start: it died
    CREATE INDEX instance_look ON instance (look_at) WHERE look_at IS NOT NULL;

    {RECEIPTS}

    {STANDING}

    CREATE TABLE caller (                  -- at the scanner's door
        calling TEXT NOT NULL,             -- AE title
        called TEXT NOT NULL,
        address TEXT NOT NULL,
        first_at REAL NOT NULL,
        last_at REAL NOT NULL,
        accepted INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        reason TEXT NOT NULL,              -- why the last call was refused; empty: it was accepted
        PRIMARY KEY (calling, address)
    ) STRICT;

    {CONTENT}
    """,
)

NEWEST = len(MIGRATIONS)
