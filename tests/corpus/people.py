"""Patients who do not exist, in the scripts of the world, and tokens that occur nowhere else."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONSONANTS = "bdfghjklmnprstvz"
_VOWELS = "aeiou"
_KANJI = (
    "山田中村高木小林加藤佐金石川原清水松本井上野西東北南青白黒森池橋口内外春夏秋冬光明和平正文"
)
_KANA = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもらりるれろ"
_HANGUL = "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구민"
_HAN = "王李张刘陈杨黄赵周吴徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜"
_CYRILLIC = ("бвгджзклмнпрстф", "аеиоуя")
_GREEK = ("βγδζθκλμνξπρστφ", "αεηιου")
_ACCENTED = {"a": "äáà", "e": "éèë", "i": "íî", "o": "öóô", "u": "üúû"}
_CZECH = {"a": "á", "e": "éě", "i": "í", "o": "ó", "u": "úů"}

#: Specific Character Set → how names are written in it. The first is the default repertoire.
SCRIPTS: dict[str, tuple[str, ...]] = {
    "ascii": (),
    "latin1": ("ISO_IR 100",),
    "latin2": ("ISO_IR 101",),
    "cyrillic": ("ISO_IR 144",),
    "greek": ("ISO_IR 126",),
    "utf8": ("ISO_IR 192",),
    "gb18030": ("GB18030",),
    "japanese": ("", "ISO 2022 IR 87"),
    "korean": ("", "ISO 2022 IR 149"),
}


def dice(*parts: object) -> Random:
    """A generator that the parts alone determine."""
    return Random("|".join(map(str, parts)))


def syllables(rng: Random, count: int, letters: tuple[str, str] = (_CONSONANTS, _VOWELS)) -> str:
    return "".join(rng.choice(letters[0]) + rng.choice(letters[1]) for _ in range(count))


def token(rng: Random, longest: int) -> str:
    """A word that occurs nowhere else: pronounceable, capitalised, 8 to 14 characters."""
    return syllables(rng, max(4, min(7, longest // 2))).capitalize()[:longest]


def uid(rng: Random) -> str:
    """Of a root that is not the product's."""
    return (
        f"1.3.6.1.4.1.{rng.randrange(10000, 60000)}.{rng.randrange(10**9)}.{rng.randrange(10**14)}"
    )


def date(rng: Random, first: int, last: int) -> str:
    return f"{rng.randint(first, last)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"


def time(rng: Random) -> str:
    return f"{rng.randint(7, 19):02d}{rng.randint(0, 59):02d}{rng.randint(0, 59):02d}"


def _accent(rng: Random, text: str, accents: dict[str, str]) -> str:
    return "".join(
        rng.choice(accents[c]) if c in accents and rng.random() < 0.5 else c for c in text
    )


def plain(text: str) -> str:
    """Without accents."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(c for c in parts if not unicodedata.combining(c))


@dataclass(frozen=True)
class Person:
    """A patient. Values are unique to seed and number."""

    script: str
    #: Component groups of the PN value: alphabetic, ideographic, phonetic.
    name: str
    family: str
    given: str
    #: As the family name is written in the script; the same as ``family`` in Latin ones.
    native: str
    native_given: str
    patient_id: str
    issuer: str
    birth_date: str
    sex: str
    age: str
    address: str
    phone: str

    @property
    def charset(self) -> tuple[str, ...]:
        return SCRIPTS[self.script]

    @classmethod
    def made(cls, seed: str, number: int, script: str = "") -> Person:
        rng = dice(seed, "person", number)
        script = script or tuple(SCRIPTS)[number % len(SCRIPTS)]
        family, given = token(rng, 10), token(rng, 8)
        native, native_given, name = family, given, ""
        if script in {"latin1", "latin2"}:
            accents = _ACCENTED if script == "latin1" else _CZECH
            family, given = _accent(rng, family, accents), _accent(rng, given, accents)
            native, native_given = family, given
        elif script in {"cyrillic", "greek"}:
            letters = _CYRILLIC if script == "cyrillic" else _GREEK
            native = family = syllables(rng, 5, letters).capitalize()
            native_given = given = syllables(rng, 4, letters).capitalize()
        elif script in {"gb18030", "utf8", "japanese", "korean"}:
            signs = {"japanese": _KANJI, "korean": _HANGUL}.get(script, _HAN)
            native = "".join(rng.sample(signs, 2))
            native_given = "".join(rng.sample(signs, 2))
            name = f"{family}^{given}={native}^{native_given}"
            if script == "japanese":
                name += "=" + "".join(rng.sample(_KANA, 3)) + "^" + "".join(rng.sample(_KANA, 2))
        number_id = f"{rng.randrange(10**7, 10**8)}"
        old = rng.random() < 0.08
        birth = date(rng, 1928, 1934) if old else date(rng, 1938, 1984)
        return cls(
            script, name or f"{family}^{given}", family, given, native, native_given,
            rng.choice([
                number_id, f"MRN-{number_id}", f"PAT {number_id[:4]} {number_id[4:]}",
                f"{birth[2:]}/{number_id[:4]}", f"{token(rng, 8).upper()}{number_id[:3]}",
            ]),
            rng.choice(["", "", "", f"{token(rng, 8).upper()} HOSPITAL"]),
            birth, rng.choice("FFFFM"), f"{2026 - int(birth[:4]):03d}Y",
            f"{rng.randint(1, 200)} {token(rng, 12)} Street", f"+44 {rng.randrange(10**9, 10**10)}",
        )  # fmt: skip

    def traces(self) -> list[str]:
        """What may be found nowhere in what leaves: each is unique to this person."""
        found = [self.family, self.given, self.patient_id, self.address, self.phone]
        found += [part for group in self.name.split("=")[1:] for part in group.split("^")]
        found += [plain(self.family), plain(self.given)]
        found += [self.issuer] if self.issuer else []
        year, month, day = self.birth_date[:4], self.birth_date[4:6], self.birth_date[6:]
        found += [self.birth_date, f"{year}-{month}-{day}", f"{day}.{month}.{year}"]
        return list(dict.fromkeys(found))

    def mentions(self, rng: Random) -> str:
        """The patient in free text, in another order, case, accent or date format than the header."""
        year, month, day = self.birth_date[:4], self.birth_date[4:6], self.birth_date[6:]
        alike: Sequence[str] = (
            f"{self.given} {self.family}",
            f"{self.native} {self.native_given}",
            f"{self.native_given} {self.native}",
            self.family.upper(),
            f"{self.family.lower()}, {self.given[:1]}.",
            plain(self.family) if self.script != "greek" else self.family,
            f"pat. {self.patient_id}",
            f"*{day}.{month}.{year}",
            f"DOB {year}-{month}-{day}",
            f"ID{self.patient_id}",
            f"{self.family}{self.given}",
        )
        return rng.choice(alike)
