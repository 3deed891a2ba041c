import datetime as dt
import os
from dataclasses import replace
from pathlib import Path

import pytest

from omnitide.security import pki
from omnitide.security.certificates import make_csr, private_key_pem
from omnitide.security.identity import IdentityDamaged, IdentityMismatch, IdentityStore, NodeIdentity, NotJoined
from omnitide.security.peer import CertificateExpired, UntrustedIssuer
from omnitide.security.pki import Authority
from omnitide.security.private_files import InsecureFile

ENDPOINTS = ("nexus.example:7401",)


@pytest.fixture
def store(tmp_path: Path) -> IdentityStore:
    return IdentityStore(tmp_path / "identity")


@pytest.fixture
def joined(store: IdentityStore, authority: Authority, now: dt.datetime) -> NodeIdentity:
    key = store.join_key()
    issued = pki.sign_node_csr(authority, make_csr(key), "alpha", now)
    identity = NodeIdentity(
        fabric_id="fhome",
        node_id="alpha",
        private_key_pem=private_key_pem(key),
        certificate_pem=issued.chain_pem,
        trust_bundle_pem=authority.trust_bundle().pem.decode(),
        endpoints=ENDPOINTS,
    )
    store.finish_join(identity)
    return identity


def files(store: IdentityStore) -> set[str]:
    return {path.name for path in store.directory.iterdir()}


def renew(store: IdentityStore, authority: Authority, now: dt.datetime, node_id: str = "alpha") -> NodeIdentity:
    chain = pki.sign_node_csr(authority, store.begin_renewal(), node_id, now).chain_pem
    return store.stage_renewal(chain, authority.trust_bundle().pem.decode(), ENDPOINTS, now)


class TestStore:
    def test_an_identity_is_loaded_as_it_was_saved(
        self, store: IdentityStore, joined: NodeIdentity, now: dt.datetime
    ) -> None:
        assert store.load() == joined
        assert store.load().verify(now).id == "alpha"
        assert files(store) == {"identity.json"}

    def test_everything_is_private_and_shows_no_key(self, store: IdentityStore, joined: NodeIdentity) -> None:
        assert (store.directory / "identity.json").stat().st_mode & 0o777 == 0o600
        assert "PRIVATE" not in repr(joined)

    def test_the_key_of_a_join_stays_the_same_until_it_succeeds(self, store: IdentityStore) -> None:
        assert private_key_pem(store.join_key()) == private_key_pem(store.join_key())
        assert (store.directory / "join.key").stat().st_mode & 0o777 == 0o600

    def test_a_machine_that_has_not_joined_says_so(self, store: IdentityStore) -> None:
        assert not store.exists()
        with pytest.raises(NotJoined):
            store.load()
        with pytest.raises(NotJoined):
            store.begin_renewal()

    @pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100])
    def test_a_damaged_identity_says_so(self, store: IdentityStore, joined: NodeIdentity, content: bytes) -> None:
        (store.directory / "identity.json").write_bytes(content)
        with pytest.raises(IdentityDamaged):
            store.load()

    def test_a_key_of_another_certificate_is_damage(self, store: IdentityStore, joined: NodeIdentity) -> None:
        store.save(replace(joined, private_key_pem=private_key_pem(store.join_key())))
        with pytest.raises(IdentityDamaged, match="does not belong"):
            store.load()

    @pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX notion")
    def test_an_identity_that_others_can_read_is_refused(self, store: IdentityStore, joined: NodeIdentity) -> None:
        (store.directory / "identity.json").chmod(0o640)
        with pytest.raises(InsecureFile):
            store.load()

    def test_leaving_forgets_everything(
        self, store: IdentityStore, joined: NodeIdentity, authority: Authority, now: dt.datetime
    ) -> None:
        renew(store, authority, now)
        store.begin_renewal()
        store.join_key()
        store.remove()
        assert files(store) == set()

    def test_an_identity_that_expired_is_loaded_but_does_not_verify(
        self, store: IdentityStore, joined: NodeIdentity, now: dt.datetime
    ) -> None:
        later = now + dt.timedelta(days=31)
        with pytest.raises(CertificateExpired):
            store.load().verify(later)
        assert store.load().renew_due(later)
        assert not store.load().renew_due(now)

    def test_a_certificate_of_another_node_does_not_verify(self, joined: NodeIdentity, now: dt.datetime) -> None:
        with pytest.raises(IdentityMismatch, match="for node alpha"):
            replace(joined, node_id="beta").verify(now)


class TestRenewal:
    def test_a_renewal_makes_a_new_key_and_keeps_the_old_identity_until_the_new_one_works(
        self, store: IdentityStore, joined: NodeIdentity, authority: Authority, now: dt.datetime
    ) -> None:
        later = now + dt.timedelta(days=15)
        staged = renew(store, authority, later)
        assert store.load() == joined
        assert store.staged() == staged
        assert staged.private_key_pem != joined.private_key_pem
        store.promote()
        assert store.load() == staged
        assert store.staged() is None
        assert files(store) == {"identity.json"}

    def test_a_crash_between_any_two_steps_loses_nothing(
        self, store: IdentityStore, joined: NodeIdentity, authority: Authority, now: dt.datetime
    ) -> None:
        def restarted() -> IdentityStore:
            return IdentityStore(store.directory)

        first = restarted().begin_renewal()
        chain = pki.sign_node_csr(authority, first, "alpha", now).chain_pem
        # The answer to a request sent before the crash still fits: the key is the same.
        staged = restarted().stage_renewal(chain, joined.trust_bundle_pem, ENDPOINTS, now)
        assert restarted().load() == joined
        assert restarted().staged() == staged
        restarted().promote()
        restarted().promote()
        assert restarted().load() == staged

    def test_a_renewal_that_nexus_refuses_is_dropped(
        self, store: IdentityStore, joined: NodeIdentity, authority: Authority, now: dt.datetime
    ) -> None:
        renew(store, authority, now)
        store.discard_renewal()
        store.promote()
        assert store.load() == joined
        assert files(store) == {"identity.json"}

    def test_an_answer_for_another_node_is_not_staged(
        self, store: IdentityStore, joined: NodeIdentity, authority: Authority, now: dt.datetime
    ) -> None:
        with pytest.raises(IdentityMismatch):
            renew(store, authority, now, node_id="beta")
        assert store.staged() is None

    def test_an_answer_for_another_key_is_not_staged(
        self, store: IdentityStore, joined: NodeIdentity, now: dt.datetime
    ) -> None:
        store.begin_renewal()
        with pytest.raises(IdentityMismatch, match="another key"):
            store.stage_renewal(joined.certificate_pem, joined.trust_bundle_pem, ENDPOINTS, now)

    def test_a_ca_that_nothing_connects_with_the_old_one_is_not_accepted(
        self, store: IdentityStore, joined: NodeIdentity, authority: Authority, impostor: Authority, now: dt.datetime
    ) -> None:
        with pytest.raises(IdentityMismatch, match="no root in common"):
            renew(store, impostor, now)
        assert store.load() == joined

    def test_a_rotated_ca_is_accepted_while_both_roots_are_there(
        self, store: IdentityStore, joined: NodeIdentity, authority: Authority, impostor: Authority, now: dt.datetime
    ) -> None:
        following = replace(impostor, also_trusted=(authority.root.certificate,))
        staged = renew(store, following, now)
        store.promote()
        assert store.load().verify(now).serial == staged.verify(now).serial
        assert len(store.load().trust_bundle.roots) == 2

    def test_a_certificate_outside_its_bundle_is_not_staged(
        self, store: IdentityStore, joined: NodeIdentity, impostor: Authority, now: dt.datetime
    ) -> None:
        chain = pki.sign_node_csr(impostor, store.begin_renewal(), "alpha", now).chain_pem
        with pytest.raises(UntrustedIssuer):
            store.stage_renewal(chain, joined.trust_bundle_pem, ENDPOINTS, now)
