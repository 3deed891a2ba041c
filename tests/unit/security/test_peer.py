import datetime as dt
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from omnitide.security import pki
from omnitide.security.certificates import (
    SIGNATURE_HASH,
    certificates_pem,
    load_certificates,
    make_csr,
    new_private_key,
    public_key_digest,
)
from omnitide.security.names import NEXUS_SERVER_NAME, Role
from omnitide.security.peer import (
    BadTrustBundle,
    CertificateExpired,
    CertificateNotYetValid,
    MalformedPeer,
    PeerRefused,
    TrustBundle,
    UntrustedIssuer,
    WrongFabric,
    WrongRole,
    verify_peer,
)
from omnitide.security.pki import Authority

# The library warns of some damage before it refuses it.
pytestmark = [pytest.mark.filterwarnings("ignore:Parsed a serial"), pytest.mark.filterwarnings("ignore:Attribute's")]


@pytest.fixture(scope="module")
def node_chain(authority: Authority, now: dt.datetime) -> str:
    return pki.sign_node_csr(authority, make_csr(new_private_key()), "alpha", now).chain_pem


def forge(
    authority: Authority,
    role: Role,
    honest_chain: str,
    *,
    uri: str,
    swap: x509.ExtensionType | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """A chain like an honest one, signed by the true CA of `role`, but for another name, extension or kind of key."""
    ca, key = authority.intermediates[role], key or new_private_key()
    honest = load_certificates(honest_chain)[0]
    builder = (
        x509.CertificateBuilder()
        .subject_name(honest.subject)
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(honest.not_valid_before_utc)
        .not_valid_after(honest.not_valid_after_utc)
    )
    for extension in honest.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            value = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        if isinstance(value, x509.SubjectKeyIdentifier):
            value = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        if swap is not None and value.oid == swap.oid:
            value = swap
        builder = builder.add_extension(value, extension.critical)
    return certificates_pem([builder.sign(ca.key, SIGNATURE_HASH), ca.certificate])


def flip_one_byte(certificate: x509.Certificate, data: st.DataObject) -> bytes:
    der = bytearray(certificate.public_bytes(serialization.Encoding.DER))
    der[data.draw(st.integers(0, len(der) - 1))] ^= data.draw(st.integers(1, 255))
    return bytes(der)


def says_the_same(damaged: bytes, certificate: x509.Certificate) -> bool:
    """One byte is not covered by the signature: the count of unused bits in the bit string that holds it. Decoders pass
    over it, and all that was signed is as it was."""
    return x509.load_der_x509_certificate(damaged).tbs_certificate_bytes == certificate.tbs_certificate_bytes


class TestVerifyPeer:
    def test_a_node_is_recognised_by_its_chain(self, authority: Authority, now: dt.datetime) -> None:
        key = new_private_key()
        issued = pki.sign_node_csr(authority, make_csr(key), "alpha", now)
        identity = verify_peer(issued.chain_pem, authority.trust_bundle(), Role.NODE, now)
        assert (identity.fabric_id, identity.role, identity.id) == ("fhome", Role.NODE, "alpha")
        assert identity.serial == issued.serial
        assert identity.public_key_digest == public_key_digest(key.public_key())

    def test_the_leaf_alone_is_enough_where_the_bundle_knows_the_intermediate(
        self, authority: Authority, now: dt.datetime, node_chain: str
    ) -> None:
        leaf = load_certificates(node_chain)[0]
        for form in (certificates_pem([leaf]), leaf.public_bytes(serialization.Encoding.DER)):
            assert verify_peer(form, authority.trust_bundle(), Role.NODE, now).id == "alpha"

    def test_the_chain_is_enough_where_the_bundle_knows_roots_alone(
        self, authority: Authority, now: dt.datetime, node_chain: str
    ) -> None:
        roots = TrustBundle.parse(authority.trust_bundle().roots_pem)
        assert verify_peer(node_chain, roots, Role.NODE, now).id == "alpha"
        with pytest.raises(UntrustedIssuer):
            verify_peer(certificates_pem(load_certificates(node_chain)[:1]), roots, Role.NODE, now)

    def test_a_node_is_no_nexus(self, authority: Authority, now: dt.datetime, node_chain: str) -> None:
        with pytest.raises(WrongRole) as refused:
            verify_peer(node_chain, authority.trust_bundle(), Role.NEXUS, now)
        assert refused.value.reason == "wrong-role"

    def test_a_nexus_is_no_node(self, authority: Authority, now: dt.datetime) -> None:
        chain = pki.issue_nexus(authority, "n1", (), now).issued.chain_pem
        with pytest.raises(WrongRole):
            verify_peer(chain, authority.trust_bundle(), Role.NODE, now)

    def test_another_fabric_is_refused(self, authority: Authority, stranger: Authority, now: dt.datetime) -> None:
        chain = pki.sign_node_csr(stranger, make_csr(new_private_key()), "alpha", now).chain_pem
        with pytest.raises(WrongFabric):
            verify_peer(chain, authority.trust_bundle(), Role.NODE, now)

    def test_another_ca_that_claims_our_name_is_refused(
        self, authority: Authority, impostor: Authority, now: dt.datetime
    ) -> None:
        chain = pki.sign_node_csr(impostor, make_csr(new_private_key()), "alpha", now).chain_pem
        whole = chain.encode() + impostor.trust_bundle().roots_pem
        for shown in (chain, whole):
            with pytest.raises(UntrustedIssuer):
                verify_peer(shown, authority.trust_bundle(), Role.NODE, now)

    def test_a_forged_signature_is_refused(self, authority: Authority, impostor: Authority, now: dt.datetime) -> None:
        """A leaf with the right issuer name and key id, signed by a stranger's key."""
        true_ca = authority.intermediates[Role.NODE]
        forged_ca = pki.CertifiedKey(true_ca.certificate, impostor.intermediates[Role.NODE].key)
        forger = replace(authority, intermediates={**authority.intermediates, Role.NODE: forged_ca})
        chain = pki.sign_node_csr(forger, make_csr(new_private_key()), "alpha", now).chain_pem
        with pytest.raises(UntrustedIssuer):
            verify_peer(chain, authority.trust_bundle(), Role.NODE, now)

    def test_the_dates_are_those_of_the_given_clock(
        self, authority: Authority, now: dt.datetime, node_chain: str
    ) -> None:
        bundle = authority.trust_bundle()
        with pytest.raises(CertificateNotYetValid) as early:
            verify_peer(node_chain, bundle, Role.NODE, now - dt.timedelta(minutes=6))
        assert early.value.not_before == now - dt.timedelta(minutes=5)
        assert verify_peer(node_chain, bundle, Role.NODE, now + dt.timedelta(days=29)).id == "alpha"
        with pytest.raises(CertificateExpired):
            verify_peer(node_chain, bundle, Role.NODE, now + dt.timedelta(days=31))

    def test_a_node_ca_that_turned_bad_still_cannot_make_a_nexus(self, authority: Authority, now: dt.datetime) -> None:
        """Even with the stolen key of the node CA, nothing under it passes for a Nexus."""
        stolen = authority.intermediates[Role.NODE]
        rogue = replace(authority, intermediates={**authority.intermediates, Role.NEXUS: stolen})
        chain = pki.issue_nexus(rogue, "n1", (), now).issued.chain_pem
        with pytest.raises(PeerRefused):
            verify_peer(chain, authority.trust_bundle(), Role.NEXUS, now)

    def test_a_service_ca_that_turned_bad_cannot_make_a_nexus_of_any_form(
        self, authority: Authority, now: dt.datetime
    ) -> None:
        """The service CA may certify servers, so here the role of the intermediate decides."""
        honest = pki.issue_service(authority, "s1", now).issued.chain_pem
        shown = forge(authority, Role.SERVICE, honest, uri="spiffe://fhome/nexus/n1")
        with pytest.raises(WrongRole, match="certified by the service CA"):
            verify_peer(shown, authority.trust_bundle(), Role.NEXUS, now)

    def test_the_role_in_the_name_counts_as_much_as_the_role_of_the_ca(
        self, authority: Authority, now: dt.datetime
    ) -> None:
        honest = pki.issue_service(authority, "s1", now).issued.chain_pem
        shown = forge(authority, Role.SERVICE, honest, uri="spiffe://fhome/nexus/n1")
        with pytest.raises(WrongRole):
            verify_peer(shown, authority.trust_bundle(), Role.SERVICE, now)

    def test_a_certificate_of_another_form_is_refused_though_the_true_ca_signed_it(
        self, authority: Authority, now: dt.datetime, node_chain: str
    ) -> None:
        bundle = authority.trust_bundle()
        uri = "spiffe://fhome/node/alpha"
        assert verify_peer(forge(authority, Role.NODE, node_chain, uri=uri), bundle, Role.NODE, now).id == "alpha"
        both = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
        for shown in (
            forge(authority, Role.NODE, node_chain, uri=uri, swap=both),
            forge(authority, Role.NODE, node_chain, uri=uri, swap=x509.BasicConstraints(ca=True, path_length=None)),
            forge(authority, Role.NODE, node_chain, uri=uri, key=ec.generate_private_key(ec.SECP384R1())),
            forge(authority, Role.NODE, node_chain, uri="https://fhome/node/alpha"),
        ):
            with pytest.raises(MalformedPeer):
                verify_peer(shown, bundle, Role.NODE, now)

    def test_a_ca_certificate_is_nobody(self, authority: Authority, now: dt.datetime) -> None:
        for certificate in (authority.root.certificate, authority.intermediates[Role.NODE].certificate):
            with pytest.raises(MalformedPeer):
                verify_peer(certificates_pem([certificate]), authority.trust_bundle(), Role.NODE, now)

    def test_chains_are_bounded(self, authority: Authority, now: dt.datetime, node_chain: str) -> None:
        for shown in (node_chain * 3, node_chain * 100):
            with pytest.raises(MalformedPeer):
                verify_peer(shown, authority.trust_bundle(), Role.NODE, now)

    @settings(max_examples=150, deadline=None)
    @given(data=st.data())
    def test_no_damaged_certificate_is_accepted_or_fails_in_an_unknown_way(
        self, authority: Authority, now: dt.datetime, node_chain: str, data: st.DataObject
    ) -> None:
        leaf = load_certificates(node_chain)[0]
        damaged = flip_one_byte(leaf, data)
        try:
            verify_peer(damaged, authority.trust_bundle(), Role.NODE, now)
        except PeerRefused:
            return
        assert says_the_same(damaged, leaf)

    @given(st.binary(max_size=200))
    def test_no_bytes_fail_in_an_unknown_way(self, noise: bytes) -> None:
        now = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
        bundle = TrustBundle("fhome", (), ())
        with pytest.raises(MalformedPeer):
            verify_peer(noise, bundle, Role.NODE, now)


class TestTrustBundle:
    def test_it_is_read_back_from_its_pem(self, authority: Authority) -> None:
        bundle = authority.trust_bundle()
        again = TrustBundle.parse(bundle.pem)
        assert again == bundle
        assert (len(again.roots), len(again.intermediates)) == (1, 3)

    def test_anchors_are_roots_alone(self, authority: Authority) -> None:
        assert load_certificates(authority.trust_bundle().roots_pem) == [authority.root.certificate]

    def test_two_roots_are_trusted_during_a_rotation(
        self, authority: Authority, impostor: Authority, now: dt.datetime
    ) -> None:
        following = replace(impostor, also_trusted=(authority.root.certificate,))
        bundle = following.trust_bundle()
        for signer in (authority, following):
            chain = pki.sign_node_csr(signer, make_csr(new_private_key()), "alpha", now).chain_pem
            assert verify_peer(chain, bundle, Role.NODE, now).id == "alpha"

    def test_one_root_can_be_singled_out_with_what_hangs_on_it(
        self, authority: Authority, impostor: Authority, now: dt.datetime
    ) -> None:
        both = TrustBundle.parse(authority.trust_bundle().pem + impostor.trust_bundle().pem)
        assert both.only(authority.root.certificate) == authority.trust_bundle()

    def test_certificates_of_two_fabrics_make_no_bundle(self, authority: Authority, stranger: Authority) -> None:
        with pytest.raises(BadTrustBundle, match="several fabrics"):
            TrustBundle.parse(authority.trust_bundle().pem + stranger.trust_bundle().pem)

    def test_a_stranger_intermediate_makes_no_bundle(self, authority: Authority, impostor: Authority) -> None:
        foreign = certificates_pem([impostor.intermediates[Role.NEXUS].certificate])
        with pytest.raises(BadTrustBundle, match="no root"):
            TrustBundle.parse(authority.trust_bundle().pem + foreign)

    def test_leaves_and_nothing_make_no_bundle(self, authority: Authority, node_chain: str) -> None:
        for text in ("", "hello", node_chain, authority.trust_bundle().roots_pem.decode() + node_chain):
            with pytest.raises(BadTrustBundle):
                TrustBundle.parse(text)

    @settings(max_examples=100, deadline=None)
    @given(data=st.data())
    def test_no_damaged_root_is_accepted_or_fails_in_an_unknown_way(
        self, authority: Authority, data: st.DataObject
    ) -> None:
        damaged = flip_one_byte(authority.root.certificate, data)
        try:
            TrustBundle.parse(damaged)
        except BadTrustBundle:
            return
        assert says_the_same(damaged, authority.root.certificate)

    def test_a_bundle_is_bounded(self, now: dt.datetime) -> None:
        pem = b"".join(pki.create_authority("fhome", now).trust_bundle().roots_pem for _ in range(3))
        with pytest.raises(BadTrustBundle, match="1 to 2 roots"):
            TrustBundle.parse(pem)


def test_the_name_of_nexus_is_in_nexus_certificates_alone(authority: Authority, now: dt.datetime) -> None:
    chains = {
        Role.NEXUS: pki.issue_nexus(authority, "n1", (), now).issued.chain_pem,
        Role.NODE: pki.sign_node_csr(authority, make_csr(new_private_key()), "n1", now).chain_pem,
        Role.SERVICE: pki.issue_service(authority, "n1", now).issued.chain_pem,
    }
    for role, chain in chains.items():
        san = load_certificates(chain)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert (NEXUS_SERVER_NAME in san.get_values_for_type(x509.DNSName)) is (role is Role.NEXUS)
