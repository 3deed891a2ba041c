"""Secrets and configs in the core: names, versions, bounds and rights; never a value."""

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.spec import Fabric

from omnitide.fabric import commands as cm
from omnitide.fabric.rules.secrets import MAX_VALUE_BYTES
from omnitide.fabric.snapshot import dump, load
from omnitide.fabric.state import find_provision


def setting(name: str = "db", *, identifier: str = "s-1", digest: str = "d1", **fields: object) -> cm.SetSecret:
    return cm.SetSecret(
        **{
            "id": identifier,
            "namespace": "default",
            "name": name,
            "digest": digest,
            "blob": f"sha256:{digest}",
            "size": 5,
        }  # type: ignore[arg-type]
        | fields
    )


def test_a_new_value_is_the_next_version_and_the_same_value_changes_nothing() -> None:
    fabric = Fabric()
    assert fabric.when(setting()).kinds == ["secret.changed"]
    assert fabric.when(setting()).kinds == []
    assert fabric.when(setting(digest="d2")).result == {"version": 2}
    found = find_provision(fabric.state, "secret", "default", "db")
    assert found is not None
    assert (found.version, found.blob, found.created_ms < found.changed_ms) == (2, "sha256:d2", True)


def test_a_secret_and_a_config_may_have_one_name() -> None:
    fabric = Fabric()
    fabric.given(setting())
    fabric.given(cm.SetConfig(id="c-1", namespace="default", name="db", digest="d", blob="b", size=1))
    assert sorted(fabric.state.provision_names) == ["config/default/db", "secret/default/db"]
    fabric.given(cm.RemoveSecret(namespace="default", name="db"))
    assert sorted(fabric.state.provision_names) == ["config/default/db"]


def test_a_value_closed_for_another_id_is_refused() -> None:
    fabric = Fabric()
    fabric.given(setting())
    assert fabric.when(setting(identifier="s-2", digest="d2")).code == "stale"
    fabric.given(cm.RemoveSecret(namespace="default", name="db"))
    assert fabric.when(setting(identifier="s-3")).accepted


def test_refusals() -> None:
    fabric = Fabric()
    assert fabric.when(setting("No Name")).code == "invalid"
    assert fabric.when(setting(namespace="nowhere")).code == "not-found"
    assert fabric.when(setting(size=MAX_VALUE_BYTES + 1)).code == "limit"
    assert fabric.when(cm.RemoveSecret(namespace="default", name="db")).code == "not-found"
    assert fabric.when(setting(), by="node:n-1").code == "forbidden"
    assert fabric.when(setting(), by="token:join").code == "forbidden"


def test_a_namespace_that_holds_one_stays() -> None:
    fabric = Fabric()
    fabric.given(cm.CreateNamespace(name="blue"), setting(namespace="blue"))
    assert fabric.when(cm.DeleteNamespace(name="blue")).code == "conflict"
    fabric.given(cm.RemoveSecret(namespace="blue", name="db"), cm.DeleteNamespace(name="blue"))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("set", "remove")),
        st.sampled_from(("secret", "config")),
        st.sampled_from(("a", "b")),
        st.sampled_from(("d1", "d2", "d3")),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_versions_grow_by_one_with_each_other_value_and_the_snapshot_holds_it(
    steps: list[tuple[str, str, str, str]],
) -> None:
    fabric = Fabric()
    model: dict[str, tuple[str, int, str]] = {}
    for number, (what, kind, name, digest) in enumerate(steps):
        key = f"{kind}/default/{name}"
        known = model.get(key)
        if what == "remove":
            removal = cm.RemoveSecret if kind == "secret" else cm.RemoveConfig
            assert fabric.when(removal(namespace="default", name=name)).accepted == (known is not None)
            model.pop(key, None)
            continue
        make = cm.SetSecret if kind == "secret" else cm.SetConfig
        identifier = known[0] if known else f"x-{number}"
        fabric.given(make(id=identifier, namespace="default", name=name, digest=digest, blob=digest, size=1))
        version = 1 if known is None else known[1] + (known[2] != digest)
        model[key] = (identifier, version, digest)
    found = {
        key: (identifier, fabric.state.provisions[identifier].version, fabric.state.provisions[identifier].digest)
        for key, identifier in fabric.state.provision_names.items()
    }
    assert found == model
    assert load(dump(fabric.state)) == fabric.state


def test_a_value_that_was_taken_to_be_there_and_is_not_any_more_is_refused() -> None:
    """No blob: it was found to be the value that is there, and nothing was put away for it."""
    fabric = Fabric()
    assert fabric.when(setting(blob="")).code == "stale"
    fabric.given(setting())
    assert fabric.when(setting(blob="")).kinds == [], "it is the value that is there"
    assert fabric.when(setting(digest="d2", blob="")).code == "stale"
    assert (
        fabric.when(cm.SetConfig(id="c-1", namespace="default", name="c", digest="d", blob="", size=1)).code == "stale"
    )
