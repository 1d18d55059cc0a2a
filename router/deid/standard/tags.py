"""Tags of the attributes that the router sets in every object, and of the pixels."""

from __future__ import annotations

from pydicom.tag import Tag

PATIENT_NAME = Tag(0x0010, 0x0010)
PATIENT_ID = Tag(0x0010, 0x0020)
ACCESSION_NUMBER = Tag(0x0008, 0x0050)
STUDY_ID = Tag(0x0020, 0x0010)
STATION_NAME = Tag(0x0008, 0x1010)
STUDY_UID = Tag(0x0020, 0x000D)
SERIES_UID = Tag(0x0020, 0x000E)
SOP_UID = Tag(0x0008, 0x0018)
IDENTITY_REMOVED = Tag(0x0012, 0x0062)
METHOD_TEXT = Tag(0x0012, 0x0063)
METHOD_SEQUENCE = Tag(0x0012, 0x0064)
TIME_MODIFIED = Tag(0x0028, 0x0303)
BURNED_IN = Tag(0x0028, 0x0301)
PIXEL_DATA = Tag(0x7FE0, 0x0010)
