"""What of a machine's own words leaves the truck: makers and models that are known, else a digest.

Manufacturer, model and software are typed by people, and a name and a birth date were found typed
there: an image is held for them, so a metric's label may not carry them either. What is on the list
of this file is what a maker calls its product. All else is replaced by a keyed digest, the same on
all trucks of a programme, so that the fleet's QC compares models and versions as before; on the
truck ``devices`` says which is which.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.imaging.quality.acquisition import Device

_DIGITS = 8
_KEPT = 32

_MAKERS = """
Agfa | Agfa-Gevaert | Agfa HealthCare | Canon | Canon Inc. | CANON_MEC | Canon Medical Systems
Carestream | Carestream Health | CMR Naviscan | FUJI PHOTO FILM Co., Ltd. | FUJIFILM Corporation
FUJIFILM Healthcare Corporation | GE HEALTHCARE | GE MEDICAL SYSTEMS | GIOTTO | Hitachi
Hitachi Medical Corporation | HOLOGIC, Inc. | HOLOGIC | IMS s.r.l. | IMS GIOTTO S.p.A.
KODAK | Konica Minolta | KONICA MINOLTA, INC. | Lorad, A Hologic Company | LORAD | Lumisys
Metaltronica | NeuroLogica | Neusoft Medical Systems | Philips | Philips Healthcare
Philips Medical Systems | Planmed | Planmed Oy | Samsung Electronics | SAMSUNG | Sectra
Shimadzu | SHIMADZU CORPORATION | SIEMENS | Siemens Healthineers | Siemens Healthcare GmbH | TOSHIBA
TOSHIBA_MEC | United Imaging | UIH | Vieworks
"""

_MODELS = """
3Dimensions | Selenia Dimensions | Lorad Selenia | Selenia | Affirm Prone Biopsy System | Fluoroscan
Senographe Essential | Senographe Essential VERSION ADS_53.40 | Senographe Essential VERSION ADS_54.10
Senographe Essential VERSION ADS_54.11 | Senographe Essential VERSION ADS_55.10 | Senographe DS
Senographe DS VERSION ADS_54.11 | Senographe 2000D ADS_17.4.5 | Senographe Pristina | Senograph Care
MAMMOMAT Inspiration | MAMMOMAT Revelation | Mammomat Fusion | Mammomat Novation DR | MAMMOMAT B.brilliant
AMULET | AMULET Innovality | FDR MS-1000 | FDR MS-2500 | FDR-3000AWS | FDR-2000AWS | FDR D-EVO | XG5000
MicroDose Mammography | L30 | L50 | Planmed Clarity 2D | Planmed Clarity 3D | Planmed Nuance | Nuance Classic
GIOTTO IMAGE 3D | GIOTTO TOMO | GIOTTO CLASS | Helianthus DBT | ASPIRE Cristalle | Aspire HD
Optima CT520 Series | Optima CT540 | Optima CT660 | Revolution CT | Revolution EVO | Revolution Maxima
Revolution ACTs | LightSpeed VCT | LightSpeed16 | BrightSpeed | Discovery CT750 HD | Discovery XR656
SOMATOM go.Up | SOMATOM go.Now | SOMATOM go.All | SOMATOM go.Top | SOMATOM Definition AS
SOMATOM Definition AS+ | SOMATOM Definition Edge | SOMATOM Definition Flash | SOMATOM Drive
SOMATOM Force | SOMATOM Scope | SOMATOM Perspective | SOMATOM X.cite | Sensation 16 | Sensation 64
Emotion 16 | Emotion 16 (2007) | NAEOTOM Alpha | Fluorospot Compact FD | Mobilett Mira | Ysio Max
Aquilion | Aquilion ONE | Aquilion PRIME | Aquilion Lightning | Aquilion Start | Aquilion Prime SP
Ingenuity CT | Ingenuity Core 128 | Incisive CT | Brilliance 16 | Brilliance 64 | Brilliance iCT
MX 16-slice | iCT 256 | DigitalDiagnost | DigitalDiagnost C90 | MobileDiagnost wDR | Access CT
NeuViz 16 | NeuViz 64 | NeuViz 128 | uCT 510 | uCT 530 | uCT 760 | uCT 780 | Scenaria | Supria | ECLOS
BodyTom | CereTom | OmniTom | DRX-1 | DRX-Revolution | DRX-Evolution | DirectView CR 850
DX-D 100 | DX-D 300 | DX-M | CR 30-X | CR 85 | DR 600 | DR 800 | CXDI | CXDI-401C | AeroDR | REGIUS MODEL 170
RadSpeed Pro | MobileDaRt Evolution | GM85 | GC85A | GU60A | ADC_51xx | CR 975 | 5700
"""


def _folded(text: str) -> str:
    """Letters and digits alone, in capitals: makers write one name in several ways."""
    return "".join(char for char in text.upper() if char.isascii() and char.isalnum())


def _listed(text: str) -> dict[str, str]:
    names = [name.strip() for line in text.split("\n") for name in line.split("|") if name.strip()]
    # The header's reader keeps the first 32 characters of a word.
    return {_folded(name[:_KEPT]): name for name in names} | {_folded(n): n for n in names}


_KNOWN_MAKERS = _listed(_MAKERS)
_KNOWN_MODELS = _listed(_MODELS)


def public(device: Device, digest: Callable[[str, str], bytes]) -> Device:
    """The machine as metrics may show it. ``digest``: keyed, of a label and a value."""

    def named(text: str, known: dict[str, str], label: str) -> str:
        folded = _folded(text)
        if not text:
            return ""
        if folded in known:
            return known[folded]
        token = base64.b32encode(digest(label, text)).decode()
        return f"{label}-{token[:_DIGITS]}"

    return replace(
        device,
        manufacturer=named(device.manufacturer, _KNOWN_MAKERS, "maker"),
        model=named(device.model, _KNOWN_MODELS, "model"),
        # A version is what its maker likes: no list could tell it from a date.
        software=named(device.software, {}, "software"),
    )
