"""What an image is in whatever encoding it comes, and other images under the UID of a known one.

A part of the migration that leads from version 6 to 7.
"""

from __future__ import annotations

# An image that had been sent was held for another one that came under its UID later. It stands; the
# other one is held by itself. What was not sent yet is left to the person who was told of it.
CONTENT = """
    ALTER TABLE instance ADD COLUMN content TEXT;   -- of the original; noted before it is purged

    INSERT INTO instance (orthanc_id, study, role, stage, origin, received_at,
            original_digest, hold_code, hold_detail, held_at)
        SELECT orthanc_id || '+' || substr(hold_detail, -64, 12), study, 'REPEATED', 'HELD', origin,
            held_at, substr(hold_detail, -64), hold_code, hold_detail, held_at
        FROM instance i WHERE hold_code = 'SAME_UID_OTHER_BYTES' AND role = 'SOURCE'
            AND EXISTS (SELECT 1 FROM receipt r WHERE r.instance = i.orthanc_id
                AND r.state = 'VERIFIED')
            AND NOT EXISTS (SELECT 1 FROM receipt r WHERE r.instance = i.orthanc_id
                AND r.state <> 'VERIFIED');
    UPDATE instance SET stage = 'ANONYMIZED', hold_code = NULL, hold_detail = NULL, held_at = NULL
        WHERE orthanc_id || '+' || substr(hold_detail, -64, 12) IN
            (SELECT orthanc_id FROM instance WHERE role = 'REPEATED');
    UPDATE study SET state = 'DELIVERED' WHERE state = 'HELD' AND EXISTS
        (SELECT 1 FROM instance i WHERE i.study = study.orthanc_id AND i.role = 'SOURCE'
            AND i.stage = 'ANONYMIZED')
        AND EXISTS (SELECT 1 FROM instance i WHERE i.study = study.orthanc_id
            AND i.role = 'REPEATED');
"""
