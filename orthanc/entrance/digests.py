"""The read-back by digest: what the archive holds of a study, for the truck that stored it.

The router asks as it asks an Orthanc (`POST /tools/find`). Only this one question is understood,
and the archive gets one that is made here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from entrance.archive import Upstream
    from entrance.state import State

LARGEST_QUESTION = 64 * 1024
_MOST_UIDS = 512
_UID = re.compile(r"(?=[0-9.]{1,64}\Z)[0-9]+(?:\.[0-9]+)*")
_ASKED = ("Attachments", "MainDicomTags")


class BadQuestionError(ValueError):
    """It is another question. Answered with 400."""


async def answer(body: bytes, truck: str, state: State, archive: Upstream) -> list[dict[str, Any]]:
    """SOP Instance UIDs and MD5 of those instances that were asked for, if the study is the truck's.

    Raises BadQuestionError, ArchiveDownError.
    """
    study, instances = _understood(body)
    if not state.is_of(study, truck):
        return []
    found = await archive.post_json(
        "/tools/find",
        {
            "Level": "Instance",
            "Query": {"StudyInstanceUID": study, "SOPInstanceUID": "\\".join(instances)},
            "ResponseContent": list(_ASKED),
        },
    )
    return [
        {
            "MainDicomTags": {"SOPInstanceUID": entry["MainDicomTags"]["SOPInstanceUID"]},
            "Attachments": [
                {"UncompressedMD5": attachment.get("UncompressedMD5")}
                for attachment in entry["Attachments"]
            ],
        }
        for entry in found
    ]


async def is_there(study: str, archive: Upstream) -> bool:
    """Whether the archive holds a study. Raises ArchiveDownError."""
    query = {"StudyInstanceUID": study}
    found = await archive.post_json("/tools/find", {"Level": "Study", "Query": query, "Limit": 1})
    return bool(found)


def _understood(body: bytes) -> tuple[str, list[str]]:
    try:
        asked = json.loads(body)
        query = asked["Query"]
        study, instances = query["StudyInstanceUID"], query["SOPInstanceUID"].split("\\")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadQuestionError from None
    if (
        asked.get("Level") != "Instance"
        or set(query) != {"StudyInstanceUID", "SOPInstanceUID"}
        or len(instances) > _MOST_UIDS
        or not all(isinstance(uid, str) and _UID.fullmatch(uid) for uid in (study, *instances))
    ):
        raise BadQuestionError
    return study, instances
