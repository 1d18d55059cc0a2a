"""Words that stand in headers of images whoever the patient is, and so identify no one.

A patient may be called Bone, Hu or Philips: such a name is not looked for word by word in codes and
names of parts, because it would be found in every image. In free text it always is. Full names,
numbers and dates are always looked for.
"""

from __future__ import annotations

import unicodedata
from importlib import resources

_BODY = """
abdomen ankle arm axilla bladder body bone brain breast calf cervix chest elbow extremity eye face
femur finger foot hand head heart hip humerus kidney knee leg limb liver lung mandible neck nose
pelvis prostate rib sacrum shoulder skin skull spine stomach thigh thorax thumb toe tooth wrist
"""
_IMAGES = """
angio application axial basic cardiac chest color contrast coronal default derived detail dose edge
enhanced fast filter flow gradient helical high hires localizer low mammo mammography medium mono
mosaic normal original oblique oral other perfusion phantom post primary processing presentation
profile protocol raw recon reformatted routine router sagittal scan scout screen screening secondary
sharp slow smooth soft spin spiral standard supine prone supplemental test tissue tomo ultra very
view volume confidentiality quality control
"""
_PLACES = "center centre clinic department general health hospital imaging medical radiology system systems"
_PARTICLES = """
al bin da de del den der di do dos dr du el ii iii jr la le los md mr mrs ms of san sr st the van von
"""

#: Lower case, without accents.
WORDS: frozenset[str] = frozenset(f"{_BODY} {_IMAGES} {_PLACES} {_PARTICLES}".split())


def read(text: str) -> frozenset[str]:
    """The words of a list: separated by blanks, ``#`` begins a comment. Folded."""
    lines = (line.partition("#")[0] for line in text.splitlines())
    decomposed = unicodedata.normalize("NFKD", " ".join(lines))
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    return frozenset(plain.casefold().split())


def _shipped(name: str) -> frozenset[str]:
    return read(resources.files(__package__).joinpath(name).read_text(encoding="ascii"))


#: What free text may consist of (113105): a list of radiology's own words.
TEXT_WORDS: frozenset[str] = _shipped("words.txt") | WORDS

#: What stands outside free text whoever the patient is: in codes, terms, names of machines.
HEADER_WORDS: frozenset[str] = TEXT_WORDS | _shipped("headers.txt")
