"""The Soft Binding Resolution API: what it answers, what it keeps to itself, what it refuses."""

import json

import pytest

from sorakit.api.app import create_app
from sorakit.api.limits import Limits
from sorakit.errors import RegistryError
from sorakit.registry.cut import single_manifest
from sorakit.registry.record import Record
from sorakit.registry.repo import Registry

MARK = "io.github.sorakit.lattice.1"
KNOWN = "1f00000000000001"


def ids(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    return [m["manifestId"] for m in answer.json()["matches"]]


def test_a_mark_leads_to_its_published_manifests(client, ask):
    caller = client()
    both = ["urn:c2pa:2", "urn:c2pa:1"]
    for params in ({}, {"maxResults": 1}, {"maxResults": 10**17}):
        found = ids(caller.get("/matches/byBinding", params={"alg": MARK, "value": ask(KNOWN)} | params))
        assert found == both[: params.get("maxResults", 10)]
    body = {"alg": MARK, "value": ask(KNOWN)}
    assert ids(caller.post("/matches/byBinding", json=body)) == both
    assert ids(caller.post("/matches/byBinding?maxResults=1", json=body)) == both[:1]
    as_text = {"alg": MARK, "value": ask(KNOWN.encode().hex())}  # as the manifest writes it
    assert ids(caller.post("/matches/byBinding", json=as_text)) == both
    for other in ({"alg": "com.example.other.1"}, {"value": ask("1f00000000000002")}, {"value": "AAAA"}):
        assert ids(caller.get("/matches/byBinding", params=body | other)) == []


def test_a_manifest_comes_as_it_was_published(client, box):
    caller = client()
    whole = caller.get("/manifests/urn:c2pa:1")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "application/c2pa")
    assert whole.content == box("c2pa", box("urn:c2pa:parent"), box("urn:c2pa:1"))
    active = caller.get("/manifests/urn:c2pa:1", params={"returnActiveManifest": "true"})
    assert active.content == box("c2pa", box("urn:c2pa:1"))
    assert caller.get("/manifests/urn:c2pa:1?returnActiveManifest=false").content == whole.content
    for missing in ("urn:c2pa:9", "urn:c2pa:parent", "urn:c2pa:waiting"):
        assert caller.get(f"/manifests/{missing}").status_code == 404


def test_only_what_is_in_a_store_is_cut_out(box):
    store = box("c2pa", box("a"), box("b"))
    assert single_manifest(store, "b") == box("c2pa", box("b"))
    for broken in (b"", b"x" * 40, store[:30], box("c2pa")):
        assert single_manifest(broken, "b") is None


def test_what_it_supports(client):
    said = client().get("/services/supportedAlgorithms").json()
    assert [w["alg"] for w in said["watermarks"]] == [MARK]
    assert said["fingerprints"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/matches/byBinding", 400),
        ("GET", "/matches/byBinding?alg=a.b.c&value=%25%25", 400),
        ("GET", "/matches/byBinding?alg=a.b.c&value=", 400),
        ("GET", "/matches/byBinding?alg=a%00b&value=AAAA", 400),
        ("GET", "/matches/byBinding?alg=a.b.c&value=AAAA&maxResults=0", 400),
        ("GET", "/matches/byBinding?alg=a.b.c&value=AAAA&maxResults=1.0", 400),
        ("GET", "/matches/byBinding?alg=a.b.c&value=" + "A" * 9000, 414),
        ("GET", "/manifests/a%0Ab", 400),
        ("GET", "/manifests/" + "a" * 256, 400),
        ("GET", "/manifests/a?returnActiveManifest=yes", 400),
        ("GET", "/manifests/a%2Fb", 404),
        ("GET", "/nowhere", 404),
        ("PUT", "/matches/byBinding", 405),
        ("DELETE", "/manifests/urn:c2pa:1", 405),
    ],
)
def test_nonsense_is_refused_in_words(client, method, path, status):
    answer = client().request(method, path)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"alg": 1, "value": "AAAA"}', b'{"alg": "\\ud800", "value": "AAAA"}'],
)
def test_bodies_that_are_no_query(client, body):
    answer = client().post("/matches/byBinding", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text


def test_deep_json_is_refused(client):
    answer = client().post(
        "/matches/byBinding", content=b"[" * 60_000, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400


def test_nothing_private_leaves(client, ask, tmp_path):
    caller = client()
    asked = [
        caller.get("/matches/byBinding", params={"alg": MARK, "value": ask(KNOWN)}),
        caller.get("/manifests/urn:c2pa:1"),
        caller.get("/openapi.json"),
        caller.get("/health"),
        caller.post("/matches/byContent", content=b"x", headers={"content-type": "video/mp4"}),
    ]
    for answer in asked:
        assert "private name" not in answer.text
        assert str(tmp_path) not in answer.text and "registry.db" not in answer.text
        assert "0" * 64 not in answer.text
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_a_failing_registry_is_told_without_where_it_is(client, url, tmp_path):
    caller = client()
    (tmp_path / "home" / "registry.db").write_bytes(b"no database any more" * 1000)
    for leftover in ("registry.db-wal", "registry.db-shm"):
        (tmp_path / "home" / leftover).unlink(missing_ok=True)
    answer = caller.get("/manifests/urn:c2pa:1")
    assert (answer.status_code, answer.json()) == (500, {"error": "service failure"})
    assert caller.get("/health").status_code == 503


def test_the_application_cannot_write(url):
    with Registry(url, read_only=True) as registry, pytest.raises(RegistryError):
        registry.add_pending(Record("urn:new", b"x", "0" * 64))


def test_a_token_is_asked_of_all_but_health(client):
    caller = client(token="s3cret")  # noqa: S106
    assert caller.get("/health").json() == {"status": "ok"}
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic s3cret"}):
        for path in ("/services/supportedAlgorithms", "/openapi.json", "/nowhere"):
            answer = caller.get(path, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    right = {"authorization": "bearer s3cret"}
    assert caller.get("/services/supportedAlgorithms", headers=right).status_code == 200
    schema = caller.get("/openapi.json", headers=right).json()
    assert schema["paths"]["/matches/byBinding"]["get"]["security"] == [{"bearer": []}]


def test_rates_are_bounded(client):
    caller = client(per_minute=3)
    asked = [caller.get("/services/supportedAlgorithms") for _ in range(4)]
    assert [a.status_code for a in asked] == [200, 200, 200, 429]
    assert 1 <= int(asked[-1].headers["retry-after"]) <= 21
    assert caller.get("/health").status_code == 200


def test_other_methods_are_told_the_right_ones(client):
    for path, methods in (("/matches/byBinding", "GET, POST"), ("/manifests/urn:c2pa:1", "GET")):
        answer = client().request("OPTIONS", path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)


def test_bodies_are_bounded_announced_or_not(client):
    caller = client(upload_bytes=1000)
    kind = {"content-type": "video/mp4"}
    announced = caller.post("/matches/byContent", content=b"x" * 1001, headers=kind)
    streamed = caller.post("/matches/byContent", content=iter([b"x" * 600] * 3), headers=kind)
    json_body = caller.post(
        "/matches/byBinding", content=iter([b" " * 40_000] * 2), headers={"content-type": "application/json"}
    )
    assert [a.status_code for a in (announced, streamed, json_body)] == [413, 413, 413]


def test_time_is_bounded(client):
    answer = client(request_seconds=0.0).get("/services/supportedAlgorithms")
    assert answer.status_code in (408, 503)


def test_names_that_only_resolve_here_are_refused(client):
    assert client().get("/health", headers={"host": "evil.example"}).status_code == 400


def test_uploads_that_are_no_video(client):
    caller = client()
    for kind, body in (("video/mp4", b"hello"), ("image/png", b""), ("text/plain", b"x"), ("", b"x")):
        answer = caller.post("/matches/byContent", content=body, headers={"content-type": kind})
        assert answer.status_code == 415, (kind, answer.text)


def test_uploads_at_once_are_bounded(client):
    answer = client(uploads=0).post("/matches/byContent", content=b"x", headers={"content-type": "video/mp4"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


def test_every_status_is_described(url):
    with Registry(url, read_only=True) as registry:
        schema = create_app(registry, limits=Limits()).openapi()
    assert "422" not in json.dumps(schema)
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            assert {"413", "503"} <= set(operation["responses"]), path
