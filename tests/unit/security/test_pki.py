import datetime as dt
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from omnitide.security import pki
from omnitide.security.certificates import load_certificates, make_csr, new_private_key, public_key_digest, renew_due
from omnitide.security.names import NEXUS_SERVER_NAME, InvalidName, Role
from omnitide.security.pki import Authority, AuthorityExpired, CsrRefused


def san(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def usage(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


class TestAuthority:
    def test_root_lives_ten_years_and_signs_intermediates_only(self, authority: Authority, now: dt.datetime) -> None:
        root = authority.root.certificate
        assert root.not_valid_after_utc == now + dt.timedelta(days=3650)
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert constraints.value == x509.BasicConstraints(ca=True, path_length=1)
        assert isinstance(authority.root.key.curve, ec.SECP256R1)

    @pytest.mark.parametrize("role", Role)
    def test_intermediates_live_five_years_and_sign_leaves_only(
        self, authority: Authority, now: dt.datetime, role: Role
    ) -> None:
        certificate = authority.intermediates[role].certificate
        assert certificate.not_valid_after_utc == now + dt.timedelta(days=1825)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert constraints == x509.BasicConstraints(ca=True, path_length=0)

    def test_the_node_ca_cannot_certify_servers_at_all(self, authority: Authority) -> None:
        assert usage(authority.intermediates[Role.NODE].certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH}

    @pytest.mark.parametrize("role", [Role.NODE, Role.SERVICE])
    def test_only_the_nexus_ca_can_certify_the_name_of_nexus(self, authority: Authority, role: Role) -> None:
        constraints = authority.intermediates[role].certificate.extensions.get_extension_for_class(x509.NameConstraints)
        assert constraints.critical
        assert constraints.value.permitted_subtrees == [x509.DNSName(f"{role}.omnitide.internal")]
        assert not NEXUS_SERVER_NAME.endswith(f"{role}.omnitide.internal")

    def test_its_text_form_shows_no_key(self, authority: Authority) -> None:
        assert "key" not in repr(authority).replace("Key(", "")

    def test_an_intermediate_past_its_end_issues_nothing(self, authority: Authority, now: dt.datetime) -> None:
        with pytest.raises(AuthorityExpired):
            pki.issue_nexus(authority, "n1", (), now + pki.INTERMEDIATE_LIFETIME)

    def test_a_leaf_never_outlives_its_intermediate(self, authority: Authority, now: dt.datetime) -> None:
        late = now + pki.INTERMEDIATE_LIFETIME - dt.timedelta(days=3)
        assert pki.issue_nexus(authority, "n1", (), late).issued.not_after == now + pki.INTERMEDIATE_LIFETIME

    def test_a_time_without_a_zone_is_refused(self, authority: Authority) -> None:
        with pytest.raises(ValueError, match="zone"):
            pki.issue_nexus(authority, "n1", (), dt.datetime(2030, 6, 1))  # noqa: DTZ001


class TestNodeCertificates:
    def test_a_csr_gives_a_client_certificate_for_30_days(self, authority: Authority, now: dt.datetime) -> None:
        key = new_private_key()
        issued = pki.sign_node_csr(authority, make_csr(key), "alpha", now)
        leaf, intermediate = load_certificates(issued.chain_pem)
        assert intermediate == authority.intermediates[Role.NODE].certificate
        assert san(leaf).get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://fhome/node/alpha"]
        assert usage(leaf) == {ExtendedKeyUsageOID.CLIENT_AUTH}
        assert leaf.not_valid_after_utc == issued.not_after == now + dt.timedelta(days=30)
        assert leaf.not_valid_before_utc == issued.not_before == now - dt.timedelta(minutes=5)
        assert issued.public_key_digest == public_key_digest(key.public_key())

    def test_names_and_extensions_in_the_csr_are_ignored(self, authority: Authority, now: dt.datetime) -> None:
        key = new_private_key()
        greedy = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NEXUS_SERVER_NAME)]))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(NEXUS_SERVER_NAME)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )
        leaf = load_certificates(pki.sign_node_csr(authority, greedy, "alpha", now).chain_pem)[0]
        assert NEXUS_SERVER_NAME not in leaf.subject.rfc4514_string()
        assert san(leaf).get_values_for_type(x509.DNSName) == []
        assert usage(leaf) == {ExtendedKeyUsageOID.CLIENT_AUTH}
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca

    def test_a_csr_for_a_key_that_the_sender_does_not_hold_is_refused(
        self, authority: Authority, now: dt.datetime
    ) -> None:
        # The request of one key with the public key of another in its place: the signature no longer fits.
        mine, theirs = new_private_key(), new_private_key()
        der = x509.load_pem_x509_csr(make_csr(mine)).public_bytes(serialization.Encoding.DER)
        point = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        der = der.replace(mine.public_key().public_bytes(*point), theirs.public_key().public_bytes(*point))
        stolen = x509.load_der_x509_csr(der).public_bytes(serialization.Encoding.PEM)
        with pytest.raises(CsrRefused) as refused:
            pki.sign_node_csr(authority, stolen, "alpha", now)
        assert refused.value.reason == "proof-of-possession"

    @pytest.mark.parametrize(
        "key",
        [
            rsa.generate_private_key(65537, 2048),
            ec.generate_private_key(ec.SECP384R1()),
            ec.generate_private_key(ec.SECP256K1()),
            ed25519.Ed25519PrivateKey.generate(),
        ],
        ids=["rsa", "p384", "secp256k1", "ed25519"],
    )
    def test_only_p256_keys_are_signed(
        self,
        authority: Authority,
        now: dt.datetime,
        key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    ) -> None:
        algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
        with pytest.raises(CsrRefused) as refused:
            pki.sign_node_csr(authority, csr.public_bytes(serialization.Encoding.PEM), "alpha", now)
        assert refused.value.reason == "key-type"

    @pytest.mark.parametrize(
        "text",
        ["", "hello", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "x" * 100_000],
        ids=["empty", "no pem", "no csr", "too large"],
    )
    def test_what_is_no_csr_is_refused(self, authority: Authority, now: dt.datetime, text: str) -> None:
        with pytest.raises(CsrRefused) as refused:
            pki.sign_node_csr(authority, text, "alpha", now)
        assert refused.value.reason == "malformed"

    def test_a_node_id_outside_the_grammar_is_refused(self, authority: Authority, now: dt.datetime) -> None:
        with pytest.raises(InvalidName):
            pki.sign_node_csr(authority, make_csr(new_private_key()), "../nexus/n1", now)


class TestNexusCertificates:
    def test_it_carries_every_name_by_which_it_is_reached(self, authority: Authority, now: dt.datetime) -> None:
        names = ["box", "Nexus.Example.com", "192.0.2.7", "[2001:db8::1]", "localhost"]
        credentials = pki.issue_nexus(authority, "n1", names, now)
        leaf = load_certificates(credentials.issued.chain_pem)[0]
        assert san(leaf).get_values_for_type(x509.DNSName) == [
            NEXUS_SERVER_NAME,
            "localhost",
            "box",
            "nexus.example.com",
        ]
        addresses = [str(a) for a in san(leaf).get_values_for_type(x509.IPAddress)]
        assert addresses == ["127.0.0.1", "::1", "192.0.2.7", "2001:db8::1"]
        assert usage(leaf) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
        assert credentials.issued.not_after == now + dt.timedelta(days=90)
        assert "PRIVATE" not in repr(credentials)

    @pytest.mark.parametrize("name", ["", "*.example.com", "a b", "https://x", "ä.example", "a..b", "x" * 300])
    def test_a_name_that_no_certificate_can_carry_is_refused(
        self, authority: Authority, now: dt.datetime, name: str
    ) -> None:
        with pytest.raises(InvalidName):
            pki.issue_nexus(authority, "n1", [name], now)
        assert not pki.is_host_name(name)

    def test_the_number_of_names_is_bounded(self, authority: Authority, now: dt.datetime) -> None:
        with pytest.raises(InvalidName, match="at most 64"):
            pki.issue_nexus(authority, "n1", [f"h{i}" for i in range(65)], now)


def test_renewal_is_due_from_half_of_the_life_on(authority: Authority, now: dt.datetime) -> None:
    leaf = load_certificates(pki.sign_node_csr(authority, make_csr(new_private_key()), "alpha", now).chain_pem)[0]
    half = leaf.not_valid_before_utc + (leaf.not_valid_after_utc - leaf.not_valid_before_utc) / 2
    assert not renew_due(leaf, half - dt.timedelta(seconds=1))
    assert renew_due(leaf, half)


def test_openssl_itself_holds_nodes_to_being_clients(authority: Authority, now: dt.datetime, tmp_path: Path) -> None:
    """The same chains, judged by another implementation in its strict mode."""
    node = pki.sign_node_csr(authority, make_csr(new_private_key()), "alpha", now).chain_pem
    nexus = pki.issue_nexus(authority, "n1", (), now).issued.chain_pem
    (tmp_path / "root.pem").write_bytes(authority.trust_bundle().roots_pem)

    def accepts(chain: str, purpose: str) -> bool:
        (tmp_path / "chain.pem").write_text(chain)
        command = ["openssl", "verify", "-x509_strict", "-attime", str(int(now.timestamp())), "-purpose", purpose]
        files = ["-CAfile", "root.pem", "-untrusted", "chain.pem", "chain.pem"]
        return subprocess.run([*command, *files], cwd=tmp_path, capture_output=True, check=False).returncode == 0

    assert accepts(node, "sslclient")
    assert not accepts(node, "sslserver")
    assert accepts(nexus, "sslserver")
    assert accepts(nexus, "sslclient")
