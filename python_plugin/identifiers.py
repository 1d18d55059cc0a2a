"""Whether Orthanc can file an image: by its four identifiers, as they stand in the header. Pure.

Orthanc answers "out of resources" to an image that lacks one or has one that its index cannot
hold, which a scanner tries again for ever, and writes the patient's number to its log.
"""

from __future__ import annotations

import struct

#: Tag → whether Orthanc files nothing without it.
_NEEDED = {
    (0x0008, 0x0018): True,  # SOP Instance UID
    (0x0010, 0x0020): False,  # Patient ID
    (0x0020, 0x000D): True,  # Study Instance UID
    (0x0020, 0x000E): True,  # Series Instance UID
}
_LAST = max(_NEEDED)
#: Orthanc 1.13 files 256 bytes of an identifier and refuses 257; the standard allows 64.
_LONGEST = 256
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN",
                       b"UR", b"UT", b"UV"})  # fmt: skip
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_PREAMBLE_BYTES = 132
_IMPLICIT = b"1.2.840.10008.1.2"
_BIG_ENDIAN = b"1.2.840.10008.1.2.2"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_TRANSFER_SYNTAX = (0x0002, 0x0010)


#: An image of nobody: stands where one that cannot be filed is refused, and is never stored.
STAND_IN = bytes(_PREAMBLE_BYTES - 4) + b"DICM" + b"".join(
    struct.pack("<HH2sH", group, element, vr, len(value)) + value
    for group, element, vr, value in (
        (0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2.1\0"),
        (0x0008, 0x0016, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0"),
        (0x0008, 0x0018, b"UI", b"2.25.3"),
        (0x0010, 0x0020, b"LO", b""),
        (0x0020, 0x000D, b"UI", b"2.25.1"),
        (0x0020, 0x000E, b"UI", b"2.25.2"),
    )
)  # fmt: skip


class _Unclear(Exception):
    """It is not clear where the next element begins."""


def can_be_filed(file: bytes) -> bool:
    """Whether a file has the identifiers that Orthanc needs, none of them too long for it.

    True where that cannot be said: Orthanc then decides itself.
    """
    try:
        found = _found(file)
    except (struct.error, _Unclear):
        return True
    if found is None:
        return True
    return all(
        len(found.get(tag, b"")) <= _LONGEST and (bool(found.get(tag)) or not needed)
        for tag, needed in _NEEDED.items()
    )


def _found(file: bytes) -> dict[tuple[int, int], bytes] | None:
    """The identifiers at top level, without their padding; None: the syntax cannot be read."""
    offset, syntax = _PREAMBLE_BYTES, b""
    while struct.unpack_from("<H", file, offset)[0] == _TRANSFER_SYNTAX[0]:
        tag, _, length, start = _element(file, offset, "<", implicit=False)
        if tag == _TRANSFER_SYNTAX:
            syntax = file[start : start + length].strip(b"\0 ")
        offset = start + length
    if syntax == _DEFLATED:
        return None
    order = ">" if syntax == _BIG_ENDIAN else "<"
    implicit = syntax == _IMPLICIT
    found: dict[tuple[int, int], bytes] = {}
    while offset < len(file):
        tag, vr, length, start = _element(file, offset, order, implicit=implicit)
        if tag > _LAST:
            break
        if length == _UNDEFINED:
            offset = _behind(file, start, order, implicit=implicit or vr == b"UN")
            continue
        if tag in _NEEDED:
            found[tag] = file[start : start + length].strip(b"\0 ")
        offset = start + length
    return found


def _behind(file: bytes, offset: int, order: str, *, implicit: bool) -> int:
    """Where a sequence of undefined length ends, whatever is nested in it."""
    #: For each level that is open: how its elements are encoded.
    levels = [implicit]
    while levels:
        tag, vr, length, start = _element(file, offset, order, implicit=levels[-1])
        if tag in {_ITEM_END, _SEQUENCE_END}:
            levels.pop()
            offset = start
        elif length == _UNDEFINED:
            levels.append(levels[-1] or vr == b"UN")
            offset = start
        else:
            offset = start + length
    return offset


def _element(
    file: bytes, offset: int, order: str, *, implicit: bool
) -> tuple[tuple[int, int], bytes, int, int]:
    """Tag, VR, length of the value, and where it begins."""
    group, element = struct.unpack_from(f"{order}HH", file, offset)
    tag = (group, element)
    if implicit or group == _ITEM[0]:
        (length,) = struct.unpack_from(f"{order}L", file, offset + 4)
        return tag, b"", length, offset + 8
    vr = file[offset + 4 : offset + 6]
    if not vr.isalpha() or not vr.isupper():
        raise _Unclear
    if vr in _LONG_VRS:
        (length,) = struct.unpack_from(f"{order}L", file, offset + 8)
        return tag, vr, length, offset + 12
    (length,) = struct.unpack_from(f"{order}H", file, offset + 6)
    return tag, vr, length, offset + 8
