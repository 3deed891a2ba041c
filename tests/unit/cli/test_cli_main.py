"""What is looked at before any command begins."""

import pytest

from omnitide.cli.main import main


def test_an_argument_that_is_no_text_is_refused_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--", "cat", "a\udcff"]) == 2
    told = capsys.readouterr().err
    assert "an argument is not UTF-8 text: a\\udcff" in told
    told.encode()
