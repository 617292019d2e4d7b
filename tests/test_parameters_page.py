"""docs/parameters.md is what the code makes of its parameters."""

from pathlib import Path

from boltzax.parameters import PARAMETERS
from boltzax.parameters_page import page


def test_page_is_up_to_date():
    text = (Path(__file__).parent.parent / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert text == page(), "run `python -m boltzax.parameters_page > docs/parameters.md`"
    assert all(f"\n| `{name}` |" in text for name in PARAMETERS)
