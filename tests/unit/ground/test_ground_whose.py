"""Tests end what they started, and nobody else's sandbox that names their folders as hidden."""

from tests.support.whose import works_in


def test_a_folder_that_is_hidden_from_a_sandbox_is_not_where_it_works() -> None:
    assert works_in(["omnitide", "--data", "/tmp/t/alpha"], "/tmp/t")
    assert works_in(["x", "--unit=/tmp/t/alpha/socket"], "/tmp/t")
    assert works_in(["/tmp/t"], "/tmp/t")
    assert not works_in(["omnitide", "--data", "/tmp/t2/alpha"], "/tmp/t")
    stranger = ["bwrap", "--tmpfs", "/tmp/t/alpha", "--ro-bind", "/dev/null", "/tmp/t/key", "--bind-try", "/x", "/x"]
    assert not works_in(stranger, "/tmp/t")
    assert works_in([*stranger, "--bind-try", "/tmp/t/alpha/w", "/tmp/t/alpha/w"], "/tmp/t")
