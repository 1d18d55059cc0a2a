"""What kinds of objects are held, and what was decided about a kind for good.

A part of the migration that leads from version 6 to 7.
"""

from __future__ import annotations

STANDING = """
    CREATE TABLE held_kind (               -- what a policy holds, and could be decided for good
        instance TEXT PRIMARY KEY REFERENCES instance (orthanc_id),
        sop_class TEXT NOT NULL,
        image_type TEXT NOT NULL,          -- the value it is held by; empty: for its class
        settled_at REAL                    -- when a standing decision discarded it
    ) STRICT;
    CREATE INDEX held_kind_of ON held_kind (sop_class, image_type);
    CREATE TABLE standing_decision (       -- objects of this kind are discarded without a question
        sop_class TEXT NOT NULL,
        image_type TEXT NOT NULL,
        decided_at REAL NOT NULL,
        decided_by TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (sop_class, image_type)
    ) STRICT;
"""
