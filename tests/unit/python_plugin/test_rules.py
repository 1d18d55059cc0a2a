from __future__ import annotations

import base64
import itertools

import pytest

import rules


def basic(user: str, phrase: str = "x") -> dict[str, str]:
    """The headers of a request of this user; Orthanc has checked the phrase."""
    credentials = base64.b64encode(f"{user}:{phrase}".encode()).decode()
    return {"authorization": f"Basic {credentials}"}


ROUTER = basic("router")
DELETING = {**ROUTER, "x-edge-router-delete": "verified"}
VIEWERS = [basic("operator"), basic("orthanc"), {}]

LEVELS = ["patients", "studies", "series", "instances"]
ABOVE_INSTANCES = LEVELS[:-1]
DELETIONS = [
    *(("DELETE", f"/{level}/a1b2c3") for level in LEVELS),
    ("DELETE", "/instances/a1b2c3/attachments/dicom"),
    ("DELETE", "/changes"),
    ("DELETE", "/modalities/pacs"),
    *(
        ("POST", f"/tools/{tool}")
        for tool in (
            "bulk-delete", "bulk-modify", "bulk-anonymize", "reset", "shutdown", "execute-script",
        )
    ),
    *(
        ("POST", f"/{level}/a1b2c3/{verb}")
        for level, verb in itertools.product(
            ABOVE_INSTANCES, ("modify", "anonymize", "split", "merge")
        )
    ),
]  # fmt: skip
HARMLESS = [
    ("POST", "/instances"),
    ("POST", "/instances/a1b2c3/anonymize"),
    ("POST", "/instances/a1b2c3/modify"),
    ("POST", "/tools/find"),
    ("POST", "/tools/bulk-content"),
    ("POST", "/modalities/pacs/echo"),
    ("PUT", "/instances/a1b2c3/metadata/1024"),
]


# --- the router's own deletions -------------------------------------------------------------------


@pytest.mark.parametrize(("method", "uri"), DELETIONS)
def test_the_router_deletes_only_with_a_reason(method: str, uri: str) -> None:
    assert rules.deletes(method, uri)
    assert rules.allowed(method, uri, DELETING)
    assert not rules.allowed(method, uri, ROUTER)


@pytest.mark.parametrize("reason", ["", " ", "\t  "])
@pytest.mark.parametrize(("method", "uri"), DELETIONS)
def test_an_empty_reason_is_none(method: str, uri: str, reason: str) -> None:
    assert not rules.allowed(method, uri, {**ROUTER, "x-edge-router-delete": reason})


@pytest.mark.parametrize("headers", VIEWERS, ids=["operator", "orthanc", "nobody"])
@pytest.mark.parametrize(("method", "uri"), DELETIONS + HARMLESS)
def test_nobody_else_writes_even_with_a_reason(
    method: str, uri: str, headers: dict[str, str]
) -> None:
    assert not rules.allowed(method, uri, headers)
    assert not rules.allowed(method, uri, {**headers, "x-edge-router-delete": "verified"})


@pytest.mark.parametrize(("method", "uri"), HARMLESS)
def test_the_router_writes_without_a_reason_where_nothing_is_lost(method: str, uri: str) -> None:
    assert not rules.deletes(method, uri)
    assert rules.allowed(method, uri, ROUTER)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "uri", ["/studies", "/studies/a1b2c3", "/tools/reset", "/dicom-web/studies?limit=5", "/"]
)
def test_reading_needs_no_reason(method: str, uri: str) -> None:
    assert not rules.deletes(method, uri)
    for headers in (ROUTER, *VIEWERS):
        assert rules.allowed(method, uri, headers)


# --- other ways to write the same request -----------------------------------------------------------


@pytest.mark.parametrize(("method", "uri"), DELETIONS)
@pytest.mark.parametrize(
    "writing",
    [
        "{}/", "{}?keep=1", "{}/?keep=1", "{}?", "/{}", "//{}", "{}//", "{}/?a=/instances",
    ],
)  # fmt: skip
def test_a_deletion_is_known_in_every_writing_of_its_path(
    method: str, uri: str, writing: str
) -> None:
    written = writing.format(uri)
    assert not rules.allowed(method, written, ROUTER)
    assert rules.allowed(method, written, DELETING)


@pytest.mark.parametrize(("method", "uri"), DELETIONS)
def test_doubled_slashes_within_a_path_hide_nothing(method: str, uri: str) -> None:
    assert not rules.allowed(method, uri.replace("/", "//"), ROUTER)
    assert not rules.allowed(method, uri.replace("/", "////"), ROUTER)


@pytest.mark.parametrize(("method", "uri"), DELETIONS)
def test_the_case_of_a_method_hides_nothing(method: str, uri: str) -> None:
    assert not rules.allowed(method.lower(), uri, ROUTER)
    assert not rules.allowed(method.title(), uri, ROUTER)


def test_a_query_that_names_a_deletion_is_none() -> None:
    assert rules.allowed("POST", "/tools/find?then=/tools/reset", ROUTER)


@pytest.mark.parametrize(
    "uri", ["/tools/resets", "/tools/reset/x", "/x/tools/reset", "/series/a/b/modify"]
)
def test_a_path_that_only_begins_or_ends_like_a_deletion_is_none(uri: str) -> None:
    assert not rules.deletes("POST", uri)


# --- who asks -----------------------------------------------------------------------------------


def test_the_health_check_sees_the_system_and_the_metrics_and_nothing_else() -> None:
    health = basic("health")
    assert rules.allowed("GET", "/system", health)
    assert rules.allowed("GET", "/tools/metrics-prometheus", health)
    assert not rules.allowed("POST", "/tools/metrics-prometheus", health)
    assert rules.allowed("HEAD", "/system", health)
    for method, uri in (
        ("GET", "/studies"), ("GET", "/system/x"), ("GET", "/"), ("GET", "/patients/a1b2c3"),
        ("POST", "/system"), ("DELETE", "/system"), *DELETIONS, *HARMLESS,
    ):  # fmt: skip
        assert not rules.allowed(method, uri, {**health, "x-edge-router-delete": "why"})


@pytest.mark.parametrize("user", ["Router", "ROUTER", "router ", " router", "router2", "rout"])
def test_a_name_like_the_router_s_is_not_the_router_s(user: str) -> None:
    assert not rules.allowed("POST", "/instances", basic(user))


def test_a_password_may_hold_a_colon() -> None:
    assert rules.user_of(basic("router", "a:b:c")) == "router"


def test_the_name_of_the_scheme_may_be_in_any_case() -> None:
    credentials = ROUTER["authorization"].partition(" ")[2]
    for scheme in ("basic", "BASIC", "Basic"):
        assert rules.user_of({"authorization": f"{scheme} {credentials}"}) == "router"


@pytest.mark.parametrize(
    "header",
    [
        "", "Basic", "Basic ", "Basic !!!", "Basic cm91dGVyOng", "Bearer abc",
        "Basic /////w==", "Basic cm91\ndGVyOng=", "Basic žžžž", "router:x",
        "Bearer cm91dGVyOng=", "Basic " + "=" * 4,
    ],
)  # fmt: skip
def test_broken_credentials_are_nobody_s(header: str) -> None:
    assert rules.user_of({"authorization": header}) == ""
    assert not rules.allowed("POST", "/instances", {"authorization": header})


def test_no_credentials_are_nobody_s() -> None:
    assert rules.user_of({}) == ""
    assert not rules.allowed("DELETE", "/studies/a1b2c3", {"x-edge-router-delete": "why"})


@pytest.mark.parametrize(
    ("method", "uri", "token", "expected"),
    [
        ("POST", "/instances", "of this start", True),
        ("POST", "/instances", "of another start", False),
        ("POST", "/instances", "", False),
        ("POST", "/instances/a1b2c3/modify", "of this start", False),
        ("POST", "/tools/bulk-delete", "of this start", False),
        ("DELETE", "/instances", "of this start", False),
    ],
)
def test_only_the_plugin_itself_takes_up_orphans_and_does_nothing_else(
    method: str, uri: str, token: str, *, expected: bool
) -> None:
    headers = {**basic(rules.HEALTH_USER), rules.ORPHAN_HEADER: token}
    assert rules.is_import(method, uri, headers, "of this start") is expected
    assert not rules.allowed(method, uri, headers)
