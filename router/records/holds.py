"""Holds: the record of one, and for each code what it means and what a person can do."""

from __future__ import annotations

from dataclasses import dataclass

from router.records.errors import Code


@dataclass(frozen=True)
class HoldRecord:
    """Why an instance stays on the truck, or does not go to one destination."""

    code: Code
    #: What a person needs besides the code; never a value of an identifying attribute.
    detail: str
    since: float


@dataclass(frozen=True)
class Advice:
    """What a hold means and what the person who reads it can do."""

    why: str
    do: str


_LOOK = (
    "Look at it on the truck. An image that shows nothing of the patient: edge-router release "
    "INSTANCE --policy pixels-checked --reason WHY. A report or a document stays held, or: "
    "edge-router discard INSTANCE --reason WHY."
)
_NO_POLICY = (
    "No policy releases it yet: leave it held, or edge-router discard INSTANCE --reason WHY, and "
    "send it another way."
)
_FOR_GOOD = (
    " If such an object comes with each study and nobody needs it in the cloud, say so once: "
    "edge-router decide INSTANCE --discard --reason WHY discards it and all later ones of its kind "
    "(edge-router decisions lists this, edge-router revoke takes it back)."
)
_REPORT = (
    "It stays on the truck meanwhile. Report it with its code, the detail and the log of that time: "
    "this is a fault of the router or of Orthanc. After an update: edge-router release INSTANCE "
    "--policy retry --reason WHY. To give it up: edge-router discard INSTANCE --reason WHY."
)

#: For each code that can hold an instance.
ADVICE: dict[Code, Advice] = {
    Code.UNREADABLE: Advice(
        "The file cannot be read as DICOM to its end.",
        "First edge-router discard INSTANCE --reason WHY; after that, and not before, let the scanner send "
        "the image again: the truck keeps the first file of a UID.",
    ),
    Code.NESTING_TOO_DEEP: Advice(
        "Its sequences are nested deeper than 32 levels, which Orthanc cannot survive.",
        "Ask the maker of the sending system: such a file is broken or hostile. To give it up: edge-router "
        "discard INSTANCE --reason WHY.",
    ),
    Code.HEADER_TOO_LARGE: Advice(
        "Its header has more than 100,000 attributes, or reading it takes more memory or time than "
        "any image may.",
        "Ask the maker of the sending system: such a file is broken or hostile, and no viewer would "
        "open it. edge-router discard INSTANCE --reason WHY; if it is a real study, let the sender split it "
        "into smaller objects.",
    ),
    Code.NO_PATIENT_ID: Advice(
        "It has no Patient ID, so it cannot be given a pseudonym.",
        "First edge-router discard STUDY --reason WHY; then enter the Patient ID on the scanner and send "
        "the study again.",
    ),
    Code.NO_UID: Advice(
        "A Study, Series or SOP Instance UID is missing, or there are several in its place.",
        "First edge-router discard STUDY --reason WHY; then send the study again from the scanner. If it "
        "stays so, report it to the scanner's maker.",
    ),
    Code.UID_CONFLICT: Advice(
        "Another image has the same SOP Instance UID, or the same Study Instance UID under another "
        "patient: mostly the same image before the patient was corrected on the scanner.",
        "Find out which of the two is filed rightly (edge-router held names both). This one: "
        "edge-router replace STUDY --reason WHY. Destinations that have the other are told to reject "
        "it first, then this one goes under new UIDs. The other one: edge-router discard STUDY "
        "--reason WHY. One image in two series of one study: discard it, and let the scanner send it "
        "as a new one.",
    ),
    Code.IDENTITY_CONFLICT: Advice(
        "Its Patient ID is known on the truck with another name, birth date or sex, or its study with "
        "another issuer of the Patient ID.",
        "Find out whose image it is (edge-router held names both). One person (a new name, a "
        "corrected date): edge-router release STUDY --policy identity-checked --reason WHY. Two: "
        "edge-router discard STUDY --reason WHY; after that, and not before, correct the patient on "
        "the scanner and send the study again.",
    ),
    Code.UNKNOWN_SOP_CLASS: Advice(
        "No policy says what this SOP class may contain.",
        _NO_POLICY + _FOR_GOOD,
    ),
    Code.SOP_CLASS_NOT_CLEARED: Advice(
        "Objects of this SOP class can show the patient's identity in their pixels or content.",
        _LOOK + _FOR_GOOD,
    ),
    Code.BURNED_IN_TEXT: Advice(
        "The image says that text is burned into its pixels.",
        _LOOK
        + " If the device marks all its images so and they show nothing (a side marker), write "
        'a rule for it into the file of deid.policies_file (docs/operations.md, "A device whose '
        'images are all held"), restart the router and release what is held under retry.'
        + _FOR_GOOD,
    ),
    Code.ENCODING_NOT_CLEARED: Advice(
        "A part of it is encoded in a way that cannot be cleaned with certainty.",
        _NO_POLICY,
    ),
    Code.PIXELS_UNDECLARED: Advice(
        "Its pixels hold more than its header declares (the detail says what). No viewer shows it, "
        "and it may tell who the patient is.",
        "Ask the scanner's maker what it is. Where it is known to name nobody: edge-router release "
        "INSTANCE --policy pixels-checked --reason WHY. It then goes as it is, every byte of it. Else "
        "first edge-router discard INSTANCE --reason WHY; after that, and not before, let the scanner "
        "send the image again without it.",
    ),
    Code.PIXELS_UNDECODABLE: Advice(
        "Its pixels cannot be opened: they break off or are damaged, and no viewer would show them.",
        "Look at it on the scanner. If it opens there, first edge-router discard INSTANCE --reason "
        "WHY; after that, and not before, let the scanner send the image again. If it does not, the "
        "picture has to be taken again while the patient is there. To have it delivered as it is: "
        "edge-router release INSTANCE --policy as-it-is --reason WHY.",
    ),
    Code.ANONYMIZATION_REFUSED: Advice(
        "Orthanc refused three times to anonymize it.",
        "See the log of Orthanc at the time of the hold; then edge-router release INSTANCE --policy "
        "retry --reason WHY.",
    ),
    Code.SOURCE_MISSING: Advice(
        "The truck's Orthanc no longer holds the original.",
        "Send the image from the scanner again; the router then takes it up by itself.",
    ),
    Code.HELD_BY_RULE: Advice(
        "A routing rule with the policy hold takes it: a person looks at it first.",
        _LOOK,
    ),
    Code.NO_DESTINATION: Advice(
        "Its rule sent it to destinations that are no longer in the settings.",
        "Configure one of them again and restart: it then goes on by itself. Or edge-router release "
        "INSTANCE --policy retry --reason WHY: then the rules of today decide where it goes.",
    ),
    Code.COPY_DIFFERS: Advice(
        "The truck holds another object under the UID of the anonymized copy.",
        _REPORT,
    ),
    Code.SAME_UID_OTHER_BYTES: Advice(
        "The scanner sent another image under the SOP Instance UID of an earlier one: it is not the "
        "same image in another encoding. The same picture compressed with loss is another image, too, "
        "and so is one that cannot be opened.",
        "The first one stands, and goes its way. If this one is to go too, because it was corrected "
        "or because only the first one is compressed with loss, let the scanner send it as a new "
        "image (with a new SOP Instance UID). Then, or where it is not needed beside the first one: "
        "edge-router discard INSTANCE --reason WHY.",
    ),
    Code.INSTANCE_CRASHES: Advice(
        "Each time a step began with it, Orthanc or the router died.",
        "Report it: the file is broken or hostile, and stays on the truck. To give it up: edge-router discard "
        "INSTANCE --reason WHY. To try again: edge-router "
        "release INSTANCE --policy retry --reason WHY.",
    ),
    Code.GATE_UNREADABLE: Advice("The anonymized copy cannot be read back.", _REPORT),
    Code.GATE_WRONG_ACTION: Advice(
        "An attribute that must be removed, emptied or replaced was not.", _REPORT
    ),
    Code.GATE_PRIVATE_ATTRIBUTE: Advice("A private attribute survived.", _REPORT),
    Code.GATE_UNKNOWN_ATTRIBUTE: Advice("An attribute that is not in DICOM survived.", _REPORT),
    Code.GATE_OVERLAY: Advice("An overlay or a curve survived.", _REPORT),
    Code.GATE_FOREIGN_UID: Advice("A UID that can be traced to the patient survived.", _REPORT),
    Code.GATE_IDENTIFIER: Advice(
        "A name, number or date of the patient was found in the anonymized copy.",
        "Look at what happens to each attribute of it (edge-router explain INSTANCE). If what was found is a plain word of "
        "your site, add it to deid.words_file, restart the router, and edge-router release INSTANCE "
        "--policy retry --reason WHY; else leave it held.",
    ),
    Code.GATE_FILE_META: Advice("The file header carries something it must not.", _REPORT),
    Code.GATE_NOT_DECLARED: Advice("The copy does not declare how it was de-identified.", _REPORT),
    Code.GATE_WRONG_STUDY: Advice("The copy does not belong to the pseudonymous study.", _REPORT),
    Code.GATE_PIXELS_CHANGED: Advice("The pixels of the copy are not the original's.", _REPORT),
    Code.GATE_IOD: Advice("The copy lost an attribute that its kind of object needs.", _REPORT),
    Code.UNEXPECTED: Advice(
        "The router itself failed on it three times.",
        "Report it with the log of that time; then edge-router release INSTANCE --policy retry "
        "--reason WHY.",
    ),
    Code.DESTINATION_REFUSED: Advice(
        "The destination refused it: for good, or three times an hour apart, while it took others.",
        "Ask the operator of the destination with the number and the words in the detail. When they have "
        "mended it: edge-router release INSTANCE --destination NAME --reason WHY. If they never will: "
        "edge-router discard INSTANCE --destination NAME --reason WHY; it goes to the others all the same.",
    ),
    Code.NOT_FOUND_AFTER_SENDING: Advice(
        "The destination accepted it three times and still does not hold it.",
        "Ask the operator of the destination what became of it; then edge-router release INSTANCE "
        "--destination NAME --reason WHY.",
    ),
    Code.STORED_BYTES_DIFFER: Advice(
        "The destination holds other bytes under its UID.",
        "Ask the operator of the destination which object is there. If theirs was removed: edge-router "
        "release INSTANCE --destination NAME --reason WHY. If theirs is to stay: edge-router discard "
        "INSTANCE --destination NAME --reason WHY.",
    ),
}

#: For a rejection note that a destination does not take, whatever the code.
NOTE_REFUSED = Advice(
    "It is the note that tells this destination to reject images, and it was not taken. The "
    "corrected images wait for it there.",
    "Write the list with edge-router replace STUDY --list FILE --reason WHY; give the file to the archive's people; when "
    "they have rejected what is on it: edge-router replace STUDY --told DESTINATION --reason WHY.",
)

#: What a person does about a caller that the scanner's door refused, by the door's reason.
CALLER_ADVICE = {
    "UNKNOWN_CALLER": "it is not among the truck's scanners. If it is one, enter its AE title and "
    "address in the file that TRUCK_MODALITIES names (or set SCANNER_AET and SCANNER_HOST), and "
    "start the door and truck-orthanc again",
    "OTHER_CALLED_AE": "it calls the truck by another AE title. Set the called AE title on the "
    "scanner to the truck's (TRUCK_AET)",
    "NOT_SUPPORTED": "it speaks another version of the protocol, or another application context. "
    "Ask the scanner's maker for DICOM 3.0",
    "TOO_MANY": "it had more associations open at once than DOOR_MOST_PER_ADDRESS allows. Set it "
    "higher, or let the scanner open fewer",
    "ORTHANC_UNREACHABLE": "truck-orthanc did not answer. Look at `docker compose ps`",
    "ORTHANC_REFUSED": "truck-orthanc refused it: its entry in the file that TRUCK_MODALITIES names "
    "does not allow what it asked for",
}
