import base64
import datetime as dt
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnitide.security import fabric_key, keyring, pki, tokens
from omnitide.security.certificates import make_csr, new_private_key, private_key_der, private_key_pem
from omnitide.security.errors import SecurityError
from omnitide.security.fabric_key import (
    FabricKeyMissing,
    KeyFile,
    Passphrase,
    WrappedValueDamaged,
    WrongFabricKey,
    key_source,
    unwrap,
    wrap,
)
from omnitide.security.keyring import Keyring, KeyringDamaged, KeyringExists, KeyringMissing
from omnitide.security.names import Role
from omnitide.security.peer import verify_peer
from omnitide.security.pki import Authority
from omnitide.security.private_files import InsecureFile

PASSPHRASE = Passphrase("correct horse battery")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "security"


@pytest.fixture
def source(home: Path) -> KeyFile:
    return KeyFile(home / "fabric.key")


def same(one: Keyring, other: Keyring) -> bool:
    def view(ring: Keyring) -> object:
        authority = ring.authority
        pairs = [authority.root, *(authority.intermediates[role] for role in Role)]
        keys = [(pair.certificate, private_key_der(pair.key)) for pair in pairs]
        return authority.fabric_id, keys, authority.also_trusted, dict(ring.token_keys), ring.token_key_id

    return view(one) == view(other)


class TestCreateAndLoad:
    def test_a_new_fabric_gets_an_id_a_ca_and_a_token_key(self, home: Path, source: KeyFile, now: dt.datetime) -> None:
        ring = keyring.create(home / "keyring.json", source, now=now)
        assert ring.fabric_id.startswith("f")
        assert len(ring.token_keys[ring.token_key_id]) == 32
        assert same(keyring.load(home / "keyring.json", source), ring)

    def test_what_was_issued_before_a_restart_verifies_after_it(
        self, home: Path, source: KeyFile, now: dt.datetime
    ) -> None:
        before = keyring.create(home / "keyring.json", source, now=now)
        chain = pki.sign_node_csr(before.authority, make_csr(new_private_key()), "alpha", now).chain_pem
        token = tokens.new_api_token()
        stored = tokens.digest(token, before.token_key_id, before.token_keys[before.token_key_id])
        after = keyring.load(home / "keyring.json", source)
        assert verify_peer(chain, after.authority.trust_bundle(), Role.NODE, now).id == "alpha"
        assert tokens.matches(token, stored, after.token_keys)

    def test_files_are_private(self, home: Path, source: KeyFile, now: dt.datetime) -> None:
        keyring.create(home / "keyring.json", source, now=now)
        assert {(p.name, oct(p.stat().st_mode & 0o777)) for p in home.iterdir()} == {
            ("keyring.json", "0o600"),
            ("fabric.key", "0o600"),
        }
        assert home.stat().st_mode & 0o777 == 0o700

    def test_no_secret_is_in_the_file_or_in_the_text_form(self, home: Path, source: KeyFile, now: dt.datetime) -> None:
        ring = keyring.create(home / "keyring.json", source, now=now)
        data = (home / "keyring.json").read_bytes()
        secrets = [private_key_der(ring.authority.root.key), *ring.token_keys.values()]
        for secret in secrets:
            assert secret not in data
            assert base64.b64encode(secret) not in data
            assert repr(secret) not in repr(ring)
        assert b"PRIVATE" not in data

    def test_a_keyring_is_never_overwritten(self, home: Path, source: KeyFile, now: dt.datetime) -> None:
        first = keyring.create(home / "keyring.json", source, now=now)
        with pytest.raises(KeyringExists):
            keyring.create(home / "keyring.json", source, now=now)
        assert same(keyring.load(home / "keyring.json", source), first)

    def test_of_two_first_starts_at_once_one_wins_and_the_other_is_told(
        self, home: Path, source: KeyFile, now: dt.datetime
    ) -> None:
        context = multiprocessing.get_context("fork")
        barrier, results = context.Barrier(3), context.SimpleQueue()

        def start() -> None:
            try:
                barrier.wait(30)
                results.put(keyring.create(home / "keyring.json", source, now=now).fabric_id)
            except KeyringExists:
                results.put(None)
            except Exception as error:  # said, or who waits for the result would wait for ever
                results.put(repr(error))

        children = [context.Process(target=start) for _ in range(3)]
        for child in children:
            child.start()
        answers = [results.get() for _ in children]
        for child in children:
            child.join(30)
        winners = [answer for answer in answers if answer is not None]
        assert winners == [keyring.load(home / "keyring.json", source).fabric_id]

    def test_a_first_start_that_crashed_after_the_key_file_goes_on(
        self, home: Path, source: KeyFile, now: dt.datetime
    ) -> None:
        key = fabric_key.new_fabric_key(source)
        keyring.create(home / "keyring.json", source, now=now)
        assert fabric_key.open_fabric_key(source, None) == key

    def test_two_trusted_roots_survive(
        self, home: Path, source: KeyFile, authority: Authority, impostor: Authority, now: dt.datetime
    ) -> None:
        rotating = replace(authority, also_trusted=(impostor.root.certificate,))
        keyring.create(home / "keyring.json", source, rotating, now=now)
        loaded = keyring.load(home / "keyring.json", source).authority
        assert loaded.trust_bundle() == rotating.trust_bundle()
        assert len(loaded.trust_bundle().roots) == 2


class TestRefusals:
    def test_no_keyring(self, home: Path, source: KeyFile) -> None:
        with pytest.raises(KeyringMissing):
            keyring.load(home / "keyring.json", source)

    def test_another_key_file(self, home: Path, source: KeyFile, now: dt.datetime) -> None:
        keyring.create(home / "keyring.json", source, now=now)
        source.path.unlink()
        fabric_key.new_fabric_key(source)
        with pytest.raises(WrongFabricKey, match="wrong fabric key or passphrase"):
            keyring.load(home / "keyring.json", source)

    def test_no_key_file(self, home: Path, source: KeyFile, now: dt.datetime) -> None:
        keyring.create(home / "keyring.json", source, now=now)
        source.path.unlink()
        with pytest.raises(FabricKeyMissing, match="not there"):
            keyring.load(home / "keyring.json", source)

    @pytest.mark.parametrize("content", [b"", b"omnitide-fabric-key-1:", b"omnitide-fabric-key-1:AAAA", b"\xff\xfe"])
    def test_a_damaged_key_file(self, home: Path, source: KeyFile, now: dt.datetime, content: bytes) -> None:
        keyring.create(home / "keyring.json", source, now=now)
        source.path.write_bytes(content)
        with pytest.raises(FabricKeyMissing, match="damaged"):
            keyring.load(home / "keyring.json", source)

    @pytest.mark.skipif(os.name != "posix", reason="modes are a POSIX notion")
    @pytest.mark.parametrize("name", ["keyring.json", "fabric.key"])
    def test_files_that_others_can_read(self, home: Path, source: KeyFile, now: dt.datetime, name: str) -> None:
        keyring.create(home / "keyring.json", source, now=now)
        (home / name).chmod(0o644)
        with pytest.raises(InsecureFile, match="open to others"):
            keyring.load(home / "keyring.json", source)

    def test_a_newer_format(self, home: Path, source: KeyFile, now: dt.datetime) -> None:
        keyring.create(home / "keyring.json", source, now=now)
        content = msgspec.json.decode((home / "keyring.json").read_bytes())
        (home / "keyring.json").write_bytes(msgspec.json.encode({**content, "format": 2, "new": True}))
        with pytest.raises(KeyringDamaged, match="has format 2; this version of omnitide reads 1"):
            keyring.load(home / "keyring.json", source)

    def test_a_certificate_exchanged_in_the_clear_part(
        self, home: Path, source: KeyFile, now: dt.datetime, impostor: Authority
    ) -> None:
        keyring.create(home / "keyring.json", source, now=now)
        content = msgspec.json.decode((home / "keyring.json").read_bytes())
        content["body"]["also_trusted"] = [impostor.trust_bundle().roots_pem.decode()]
        (home / "keyring.json").write_bytes(msgspec.json.encode(content))
        with pytest.raises(KeyringDamaged, match="was changed"):
            keyring.load(home / "keyring.json", source)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_no_damage_goes_unnoticed(
        self, authority: Authority, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        source = KeyFile(tmp_path_factory.getbasetemp() / "damage" / "fabric.key")
        ring = keyring.new_keyring(authority)
        whole = keyring.to_bundle(ring, source)
        place = data.draw(st.integers(0, len(whole) - 1))
        damaged = data.draw(
            st.sampled_from([whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]])
        )
        try:
            opened = keyring.from_bundle(damaged, source)
        except SecurityError:
            return
        assert same(opened, ring)  # the change was in white space between values


class TestPassphrase:
    def test_a_keyring_opens_with_its_passphrase_alone(
        self, home: Path, authority: Authority, now: dt.datetime
    ) -> None:
        ring = keyring.create(home / "keyring.json", PASSPHRASE, authority, now=now)
        assert [p.name for p in home.iterdir()] == ["keyring.json"]
        assert same(keyring.load(home / "keyring.json", PASSPHRASE), ring)
        with pytest.raises(WrongFabricKey):
            keyring.load(home / "keyring.json", Passphrase("correct horse batterz"))
        with pytest.raises(FabricKeyMissing, match="OMNITIDE_FABRIC_PASSPHRASE"):
            keyring.load(home / "keyring.json", KeyFile(home / "fabric.key"))

    def test_a_short_one_is_refused(self, home: Path, now: dt.datetime) -> None:
        with pytest.raises(FabricKeyMissing, match="at least 12"):
            keyring.create(home / "keyring.json", Passphrase("short"), now=now)

    def test_a_passphrase_for_a_keyring_with_a_key_file_is_an_error(
        self, home: Path, source: KeyFile, now: dt.datetime
    ) -> None:
        keyring.create(home / "keyring.json", source, now=now)
        with pytest.raises(FabricKeyMissing, match="closed with a key file"):
            keyring.load(home / "keyring.json", PASSPHRASE)

    def test_a_changed_file_cannot_ask_for_unbounded_work(
        self, home: Path, authority: Authority, now: dt.datetime
    ) -> None:
        keyring.create(home / "keyring.json", PASSPHRASE, authority, now=now)
        content = msgspec.json.decode((home / "keyring.json").read_bytes())
        content["body"]["derivation"]["n"] = 1 << 40
        (home / "keyring.json").write_bytes(msgspec.json.encode(content))
        with pytest.raises(FabricKeyMissing, match="outside the bounds"):
            keyring.load(home / "keyring.json", PASSPHRASE)

    def test_it_comes_from_the_environment_if_set(self, home: Path) -> None:
        file = home / "fabric.key"
        assert key_source({"OMNITIDE_FABRIC_PASSPHRASE": "correct horse"}, file) == Passphrase("correct horse")
        assert key_source({"OMNITIDE_FABRIC_PASSPHRASE": ""}, file) == KeyFile(file)
        assert key_source({}, file) == KeyFile(file)

    def test_its_text_form_does_not_show_it(self) -> None:
        assert "horse" not in repr(PASSPHRASE)


def test_a_backup_moves_a_fabric_to_another_machine(
    home: Path, source: KeyFile, tmp_path: Path, now: dt.datetime
) -> None:
    ring = keyring.create(home / "keyring.json", source, now=now)
    backup = keyring.to_bundle(ring, PASSPHRASE)
    elsewhere = KeyFile(tmp_path / "elsewhere" / "fabric.key")
    restored = keyring.from_bundle(backup, PASSPHRASE)
    keyring.save(tmp_path / "elsewhere" / "keyring.json", restored, elsewhere)
    assert same(keyring.load(tmp_path / "elsewhere" / "keyring.json", elsewhere), ring)


class TestWrapping:
    @given(st.binary(max_size=300), st.text(max_size=20))
    def test_a_value_comes_back(self, secret: bytes, label: str) -> None:
        key = fabric_key.FabricKey("0123", b"k" * 32)
        wrapped = wrap(key, label, secret)
        assert wrapped.startswith("aes256gcm:0123:")
        assert unwrap(key, label, wrapped) == secret

    def test_a_value_opens_only_where_it_belongs(self) -> None:
        key = fabric_key.FabricKey("0123", b"k" * 32)
        wrapped = wrap(key, "root key", private_key_pem(new_private_key()))
        with pytest.raises(WrappedValueDamaged):
            unwrap(key, "node CA key", wrapped)
        with pytest.raises(WrongFabricKey):
            unwrap(fabric_key.FabricKey("4567", b"k" * 32), "root key", wrapped)
        with pytest.raises(WrappedValueDamaged, match="rot13"):
            unwrap(key, "root key", "rot13:0123:a:b")
        assert "kkk" not in repr(key)
