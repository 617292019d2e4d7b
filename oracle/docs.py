"""Tables of the documentation, each between two markers of its own."""

from pathlib import Path

from oracle.files import write_text

DOCS = Path(__file__).resolve().parent.parent / "docs" / "accuracy.md"
FIGURES = DOCS.parent / "figures"


def update_docs(name: str, text: str, path: Path = DOCS) -> None:
    """Replaces the table `name`: what stands between its two markers.

    Raises:
        ValueError: the markers are missing.
    """
    begin, end = (f"<!-- {name} table: {which} -->" for which in ("begin", "end"))
    content = path.read_text()
    if begin not in content or end not in content:
        raise ValueError(f"{path} lacks the markers {begin} and {end}")
    before, rest = content.split(begin)
    write_text(path, f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")
