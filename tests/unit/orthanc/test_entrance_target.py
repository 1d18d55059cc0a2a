"""The entrance reads an address once: what can be read twice is refused, the rest is built anew."""

from __future__ import annotations

import posixpath
import string
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrance import routes, target
from entrance.routes import Action

_ODD = [
    "/dicom-web/..%5cinstances", "/dicom-web/..\\instances", "/dicom-web/%2e%2e/instances",
    "/dicom-web/%252e%252e/instances", "/dicom-web/../instances", "/dicom-web//instances",
    "/dicom-web/.;/instances", "/dicom-web/studies;x=1", "/dicom-web/studies%00", "/%69nstances",
    "/dicom-web/studies/1.2%0d%0aX: y", "/dicom-web/./studies", "//evil.example/dicom-web/studies",
    "/dicom-web/studies#x", "/dicom-web/st\u00fcdies", "/dicom-web/%c0%ae%c0%ae/system", "", "*",
    "http://cloud-orthanc:8042/system", "/dicom-web/studies?PatientName=%c0%ae",
    "/dicom-web/studies?PatientName=%ff", "/dicom-web/studies?PatientName=%",
    "/dicom-web/studies?PatientName=%2541", "/dicom-web/studies?PatientName=a%5cb",
    "/dicom-web/studies?PatientName=a;_method=DELETE", "/dicom-web/studies?Patient%4eame=a",
    "/dicom-web/studies?limit=1&&limit=2", "/dicom-web/studies?=1", "/dicom-web/studies?x=\x00",
    "/" + "a" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("raw", _ODD)
def test_an_address_that_could_be_read_in_two_ways_is_refused(raw: str) -> None:
    with pytest.raises(target.BadTargetError):
        target.parse(raw)


_ALPHABET = string.printable + "\u00e4\u2215\uff0e\x00\x7f\x85"


@given(st.text(_ALPHABET, max_size=60).map("/".__add__))
@example("/dicom-web/studies?PatientName=M%C3%BCller%2F+x&limit=1")
def test_what_is_passed_on_is_read_alike_by_every_reader(raw: str) -> None:
    """Python's own readers of addresses stand for those behind the entrance."""
    try:
        understood = target.parse(raw)
    except target.BadTargetError:
        return
    built = str(understood)
    parts = urlsplit(built)
    assert parts.path == "/" + "/".join(understood.segments)
    assert unquote(parts.path) == parts.path == parts.path.replace("\\", "/")
    assert posixpath.normpath(parts.path) == (parts.path.rstrip("/") or "/")
    assert tuple(parse_qsl(parts.query, keep_blank_values=True)) == understood.query
    assert target.parse(built) == understood
    assert built.isascii()
    assert built.isprintable()


@pytest.mark.parametrize("name", ["_method", "_METHOD", "X-HTTP-Method-Override", "method"])
def test_a_method_in_the_query_is_left_out(name: str) -> None:
    found = routes.find("GET", target.parse(f"/dicom-web/studies?{name}=DELETE&limit=2"))
    assert str(found.target) == "/dicom-web/studies?limit=2"


@pytest.mark.parametrize(
    ("method", "raw", "action"),
    [
        ("GET", "/dicom-web/studies", Action.SEARCH),
        ("GET", "/dicom-web/studies?00100020=P1&includefield=00081030,00080060", Action.SEARCH),
        ("GET", "/dicom-web/studies/1.2/series/1.3/instances", Action.SEARCH),
        ("GET", "/dicom-web/studies/1.2/series/1.3/metadata", Action.RETRIEVE),
        ("GET", "/dicom-web/studies/1.2/series/1.3/instances/1.4/frames/1,2", Action.RETRIEVE),
        ("GET", "/dicom-web/studies/1.2/series/1.3/instances/1.4/bulk/00660023/1/00660001",
         Action.RETRIEVE),
        ("POST", "/dicom-web/studies/2.25.1", Action.STORE),
        ("POST", "/api/v1/write", Action.MEASURE),
        ("GET", "/viewer?StudyInstanceUIDs=1.2", Action.VIEWER),
        ("GET", "/assets/images/a-b.png", Action.FILE),
    ],
)  # fmt: skip
def test_what_the_router_and_the_viewer_need_stands_in_the_list(
    method: str, raw: str, action: Action
) -> None:
    assert routes.find(method, target.parse(raw)).route.action is action


@pytest.mark.parametrize(
    "raw", ["/system", "/instances", "/dicom-web/servers", "/dicom-web/servers/x/get",
            "/dicom-web/studies/", "/dicom-web/studies/1.2/../3", "/tools/reset", "/viewer/x",
            "/dicom-web/studies/1a", "/dicom-web/studies/1.2/series/1.3/instances/1.4/frames/0"],
)  # fmt: skip
def test_what_does_not_stand_in_the_list_does_not_exist(raw: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        with pytest.raises((target.BadTargetError, routes.NoRouteError)):
            routes.find(method, target.parse(raw))


def test_a_method_that_a_route_does_not_have_is_refused() -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"):
        with pytest.raises(routes.WrongMethodError):
            routes.find(method, target.parse("/dicom-web/studies/1.2"))


@pytest.mark.parametrize(
    "raw", ["/1.2/metadata?PatientName=a", "/1.2/series?StudyInstanceUID=1.3",
            "/1.2/instances?0020000d=*", "/1.2/series/1.3/instances?SeriesInstanceUID=1.4",
            "?x=1"],
)  # fmt: skip
def test_a_query_parameter_that_a_route_does_not_have_is_refused(raw: str) -> None:
    with pytest.raises(routes.BadQueryError):
        routes.find("GET", target.parse(f"/dicom-web/studies{raw}"))
