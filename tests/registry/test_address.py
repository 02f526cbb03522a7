import pytest

from sorakit.config import Settings
from sorakit.errors import RegistryError, UsageError
from sorakit.registry.address import parse_url, vetted


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "ftp://example.org", "http://example.org", "http://10.0.0.1", "file:///etc/passwd",
        "https://user@example.org", "https://u:p@example.org", "https://example.org/?q=1", "https://x/#f",
        "https://", "https:///x", "https://exa mple.org", "https://exämple.org", "https://x:99999",
        "http://localhost.evil.example", "https://[::1", "http://127.0.0.1.evil.example",
    ],
)  # fmt: skip
def test_what_no_resolver_can_be(url):
    with pytest.raises(UsageError):
        parse_url(url)


def test_what_one_can_be():
    assert parse_url("https://c2pa.example.org/v1/").path == "/v1"
    assert parse_url("https://c2pa.example.org:8443").name == "c2pa.example.org:8443"
    assert parse_url("http://127.0.0.1:8321").loopback
    assert parse_url("http://[::1]:8321").name == "[::1]:8321"


@pytest.mark.parametrize(
    "host",
    [
        "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "224.0.0.1", "100.64.0.1",
        "[fe80::1]", "[fd00::1]", "[::]", "[::ffff:10.0.0.1]",
    ],
)  # fmt: skip
def test_addresses_of_inner_nets_are_refused(host):
    place = parse_url(f"https://{host}/")
    with pytest.raises(RegistryError, match="not public"):
        vetted(place, private=False)


def test_ones_own_net_is_a_choice():
    assert vetted(parse_url("https://10.0.0.1"), private=True) == "10.0.0.1"
    for never in ("https://169.254.169.254", "https://[::ffff:169.254.1.1]"):
        with pytest.raises(RegistryError, match="not public"):
            vetted(parse_url(never), private=True)
    assert vetted(parse_url("http://localhost:1"), private=False) == "127.0.0.1"
    assert vetted(parse_url("https://8.8.8.8"), private=False) == "8.8.8.8"


def test_the_setting_names_several(monkeypatch):
    assert Settings().resolvers == ()
    monkeypatch.setenv("SORAKIT_RESOLVERS", '["https://a.example", "https://b.example/v1"]')
    assert Settings().resolvers == ("https://a.example", "https://b.example/v1")
