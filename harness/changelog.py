"""CHANGELOG.md in the form that the harness reads and keeps, and its checker.

## Current status      a table between two marks, written from measurements by the harness alone
## Next steps          a list, kept by whoever works
## 0.2.0 (2026-11-25, 1a2b3c4)      releases for users, newest first; "(unreleased)" until then
## Tried and failed    entries "- `commit` what was tried: figure", only ever added to
"""

import re
from collections.abc import Mapping, Sequence

FILE = "CHANGELOG.md"
BEGIN = "<!-- status: written by `python -m harness`, from measurements -->"
END = "<!-- status: end -->"
STATUS, NEXT, FAILED = "Current status", "Next steps", "Tried and failed"

_HEADER = ["| metric | value | commit |", "|---|---|---|"]
_ROW = re.compile(r"\| [^|]+ \| [-+0-9.e]+ \| `[0-9a-f]{7,40}` \|$")
_RELEASE = re.compile(r"\d+\.\d+\.\d+ \((?:unreleased|\d{4}-\d\d-\d\d(?:, (?P<commit>[0-9a-f]{7,40}))?)\)$")
_ENTRY = re.compile(r"- `(?P<commit>[0-9a-f]{7,40})` \S.*: .*\d")


def sections(text: str) -> dict[str, list[str]]:
    """Lines below each heading of the second level, by heading, in order; a doubled heading joins."""
    out: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("## "):
            current = out.setdefault(line[3:].strip(), [])
        else:
            current.append(line)
    return out


def entries(lines: Sequence[str]) -> list[str]:
    """The items of a list, continued lines joined."""
    out: list[str] = []
    for line in lines:
        if line.startswith("- "):
            out.append(line.rstrip())
        elif line.startswith("  ") and line.strip() and out:
            out[-1] += " " + line.strip()
    return out


def status(text: str) -> str | None:
    """What stands between the marks of the status table, or None where they are missing or doubled."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        return None
    return text.split(BEGIN)[1].split(END)[0].strip("\n")


def problems(text: str, before: str | None = None) -> list[str]:
    """What is wrong with the form, in sentences; with `before`, also what must not have changed since."""
    found, parts = [], sections(text)
    headings = [line[3:].strip() for line in text.splitlines() if line.startswith("## ")]
    for name in (STATUS, NEXT, FAILED):
        if headings.count(name) != 1:
            found.append(f'the heading "## {name}" must stand exactly once')
    if headings[:2] != [STATUS, NEXT] or headings[-1:] != [FAILED]:
        found.append(f'the order is "{STATUS}", "{NEXT}", releases, "{FAILED}"')
    for name in headings:
        if name not in (STATUS, NEXT, FAILED) and not _RELEASE.match(name):
            found.append(f'"## {name}" is no release: "## 1.2.3 (unreleased)" or "## 1.2.3 (2026-11-25, commit)"')
    found += _status_problems(text)
    if NEXT in parts and not entries(parts[NEXT]):
        found.append(f'"{NEXT}" is empty: say what to do next, or that nothing is left')
    for entry in entries(parts.get(FAILED, [])):
        if not _ENTRY.match(entry):
            found.append(f'"{entry[:60]}" lacks commit or figure: "- `commit` what was tried: figure"')
    if before is not None:
        found += _changes(before, text)
    return found


def _status_problems(text: str) -> list[str]:
    table = status(text)
    if table is None:
        return [f"the status table must stand once between {BEGIN} and {END}"]
    lines = table.splitlines()
    if lines[:2] != _HEADER or not all(_ROW.match(line) for line in lines[2:]):
        return ["the status table has the columns metric, value, commit; it is written by `python -m harness` alone"]
    return []


def _changes(before: str, text: str) -> list[str]:
    found = []
    if status(before) is not None and status(before) != status(text):
        found.append("the status table was edited: the harness writes it, from measurements")
    old = entries(sections(before).get(FAILED, []))
    new = entries(sections(text).get(FAILED, []))
    if missing := [entry for entry in old if entry not in new]:
        found.append(f'"{FAILED}" is only ever added to, but lacks "{missing[0][:60]}"')
    elif new[: len(old)] != old:
        found.append(f'entries of "{FAILED}" are added at its end')
    return found


def with_status(text: str, metrics: Mapping[str, float], commit: str) -> str:
    """The text with a status table of these metrics. Rows whose value has not changed keep their commit."""
    old = {}
    for line in (status(text) or "").splitlines()[2:]:
        name, value, at = (cell.strip() for cell in line.strip("|").split("|"))
        old[name] = (value, at.strip("`"))
    lines = list(_HEADER)
    for name, number in metrics.items():
        value = f"{number:.1e}"
        at = old[name][1] if name in old and old[name][0] == value else commit[:9]
        lines.append(f"| {name} | {value} | `{at}` |")
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.split(END)[1]}"


def with_failure(text: str, commit: str, what: str, figure: str) -> str:
    """The text with one more entry under "Tried and failed"."""
    plain = lambda s: " ".join(s.replace("`", "'").split())
    return f"{text.rstrip()}\n- `{commit[:9]}` {plain(what)}: {plain(figure)}\n"


def releases(text: str) -> list[tuple[str, str]]:
    """(version, commit) of the releases that name their commit."""
    found = [(name, _RELEASE.match(name)) for name in sections(text)]
    return [(name.split(" ")[0], m["commit"]) for name, m in found if m and m["commit"]]
