"""What a peer says beside its status, reduced to a code: words of a closed list, and nothing else.

An archive may put a name or a number of a patient into its sentence. What is kept are words of
computing and of DICOM alone, so that the detail of a hold can be shown, logged and asked about.
"""

from __future__ import annotations

import re

#: Of a page or a sentence so much is looked at, and so many words are kept.
_LONGEST, _MOST = 4000, 10
_WORD = re.compile(r"[a-z]+")
#: A page's own words are no answer.
_MARKUP = re.compile(r"<(style|script|head)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.DOTALL | re.IGNORECASE)

_LIST = """
    abort aborted abstract accept accepted access account allowed already apache association
    attribute authentication authorization authorized bad bandwidth body bucket busy cancelled cannot
    capacity certificate class cloudflare coded cold compressed conflict connection consent content
    context corrupt created credentials data database decode deleted denied dependency dicom disabled
    disk duplicate element empty encoding entity error exceeded exception exist exists expired failed
    failure file filter forbidden format found full gateway group handshake header host ill image import
    inconsistent incomplete insufficient internal invalid iod issuer key large length level limit limits
    locked long lost maintenance malformed match maximum media memory method mismatch missing mismatching
    modality more multiple nginx no non not note null number object offline only operation origin out
    overload overloaded parse parsing patient payload pending permission pixel policy postgres proxy
    quarantine quota rate read ready rejected rejection request required resource resources response
    retry route rows schema sequence series server service session size sop space sql startup status
    storage store stored study suspended syntax tag temporarily temporary tenant terminated thread
    throttled throttling timeout timed token too transcode transfer type unable unavailable understand
    unexpected unknown unprocessable unreachable unsupported upstream user valid validation value version
    volume warning write wrong
"""
WORDS = frozenset(_LIST.split())


def peer_words(text: str | bytes) -> str:
    """The words of the list that stand in a text, in its order, each once; empty: there is none."""
    if isinstance(text, bytes):
        text = text[:_LONGEST].decode("utf-8", "replace")
    text = text[:_LONGEST]
    title = _TITLE.search(text)
    plain = f"{title[1] if title else ''} {_MARKUP.sub(' ', text)}"
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)  # QuotaExceeded
    found = dict.fromkeys(word for word in _WORD.findall(plain.lower()) if word in WORDS)
    return " ".join(list(found)[:_MOST])
