"""What scripts say of programs and packages that are not there."""

import pytest
from scripts_module import load_script


def test_needs_names_what_is_missing_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    needs = load_script("needs")
    needs.programs("sh")
    needs.packages("json")
    for ask, kind in ((needs.programs, "program"), (needs.packages, "package")):
        with pytest.raises(SystemExit) as left:
            ask("nowhere_a", "nowhere_b")
        assert left.value.code == 2
        assert capsys.readouterr().err == f"error: this needs the {kind}s nowhere_a, nowhere_b: install first\n"
