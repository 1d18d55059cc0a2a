"""Words that stand in headers of images whoever the patient is, and so identify no one.

A patient may be called Bone or Standard: such a name is not looked for word by word, because it
would be found in every image. Full names, numbers and dates are always looked for.
"""

from __future__ import annotations

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
