"""Which FHIR servers may be called, and which links stay on one."""

from ipaddress import ip_address

import pytest

from cds_service.fhir_address import base_of, demonstration_rule, within


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://ehr.example/fhir", "https://ehr.example:443/fhir"),
        ("https://EHR.example/fhir/", "https://ehr.example:443/fhir"),
        ("http://127.0.0.1:8090/fhir", "http://127.0.0.1:8090/fhir"),
        ("http://[::1]:8090", "http://[::1]:8090"),
        (" https://ehr.example ", "https://ehr.example:443"),
        ("https://ehr.example/v/r4/sim/WzIs%20a/fhir", "https://ehr.example:443/v/r4/sim/WzIs%20a/fhir"),
    ],
)
def test_a_plain_url_is_a_base(text: str, expected: str) -> None:
    base = base_of(text)
    assert base is not None
    assert base.url == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ehr.example/fhir",
        "ftp://ehr.example/fhir",
        "file:///etc/passwd",
        "https://",
        "https:///fhir",
        "https://user:word@ehr.example/fhir",
        "https://ehr.example@evil.example/fhir",
        "https://ehr.example/fhir?x=1",
        "https://ehr.example/fhir?",
        "https://ehr.example/fhir#a",
        "https://ehr.example/fhir/../admin",
        "https://ehr.example/fhir/%2e%2e/admin",
        "https://ehr.example\\@evil.example/fhir",
        "https://ehr.example/fh ir",
        "https://ehr.example:port/fhir",
        "https://ehr.example:99999/fhir",
        "https://[::1/fhir",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert base_of(text) is None


@pytest.mark.parametrize(
    "link",
    [
        "https://ehr.example/fhir/Condition?page=2",
        "https://EHR.example:443/fhir/Condition?page=2",
        "Condition?page=2",
        "/fhir/Condition?page=2",
        "https://ehr.example/fhir?_getpages=abc",
        "?_getpages=abc",
    ],
)
def test_a_link_to_the_same_server_and_path_is_followed(link: str) -> None:
    base = base_of("https://ehr.example/fhir")
    assert base is not None
    followed = within(base, link)
    assert followed is not None
    assert followed.startswith("https://ehr.example:443/fhir")


@pytest.mark.parametrize(
    "link",
    [
        "http://ehr.example/fhir/Condition?page=2",
        "https://ehr.example:8443/fhir/Condition?page=2",
        "https://other.example/fhir/Condition?page=2",
        "//other.example/fhir/Condition",
        "https://ehr.example/fhirother/Condition",
        "https://ehr.example/admin",
        "https://ehr.example/fhir/../admin",
        "https://ehr.example/fhir/%2E%2e/admin",
        "https://user@ehr.example/fhir/Condition",
        "https://ehr.example/fhir/Con dition",
        "https://ehr.example/fhir/\r\nX: y",
        "https:\\\\ehr.example/fhir/Condition",
        "https://[::1/fhir",
        "javascript:alert(1)",
    ],
)
def test_a_link_that_leads_elsewhere_is_not_followed(link: str) -> None:
    base = base_of("https://ehr.example/fhir")
    assert base is not None
    assert within(base, link) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_be_called_by_http_and_https(address: str) -> None:
    assert demonstration_rule("http", ip_address(address))
    assert demonstration_rule("https", ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"])
def test_a_public_address_may_be_called_by_https_only(address: str) -> None:
    assert demonstration_rule("https", ip_address(address))
    assert not demonstration_rule("http", ip_address(address))


@pytest.mark.conforms("C45")
@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "192.0.0.0",
        "192.0.0.255",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "168.63.129.16",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "fe80::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "::",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "::10.0.0.1",
    ],
)
def test_private_link_local_and_metadata_addresses_are_never_called(address: str) -> None:
    assert not demonstration_rule("https", ip_address(address))
    assert not demonstration_rule("http", ip_address(address))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://localhost:1/f", True),
        ("http://127.0.0.1/f", True),
        ("http://[::1]/f", True),
        ("https://ehr.example/f", False),
        ("https://10.0.0.1/f", False),
    ],
)
def test_only_what_is_spelt_as_this_machine_is_this_machine(text: str, expected: bool) -> None:
    base = base_of(text)
    assert base is not None
    assert base.is_on_this_machine is expected
