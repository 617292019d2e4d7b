"""Tables of the documentation, each between two markers of its own."""

from pathlib import Path

from oracle.files import write_text

DOCS = Path(__file__).resolve().parent.parent / "docs" / "accuracy.md"
FIGURES = DOCS.parent / "figures"


def current(name: str, path: Path = DOCS) -> str:
    """The table `name` as it stands.

    Raises:
        ValueError: its markers are missing.
    """
    return _parts(name, path)[1]


def rows_of(table: str, title: str) -> list[str]:
    """Rows of a table whose first cell is `title`."""
    return [line for line in table.splitlines() if line.startswith(f"| {title} |")]


def update_docs(name: str, text: str, path: Path = DOCS) -> None:
    """Replaces the table `name`: what stands between its two markers.

    Raises:
        ValueError: the markers are missing.
    """
    before, _, after = _parts(name, path)
    write_text(path, f"{before}\n{text}\n{after}")


def _parts(name: str, path: Path) -> tuple[str, str, str]:
    """A page before a table, the table, and the page after it; the markers go with the page."""
    begin, end = (f"<!-- {name} table: {which} -->" for which in ("begin", "end"))
    content = path.read_text()
    if begin not in content or end not in content:
        raise ValueError(f"{path} lacks the markers {begin} and {end}")
    before, rest = content.split(begin)
    table, after = rest.split(end)
    return before + begin, table.strip("\n"), end + after
