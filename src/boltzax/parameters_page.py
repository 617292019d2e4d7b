"""The page of parameters, docs/parameters.md, made from their table: `python -m boltzax.parameters_page`."""

from boltzax import parameters as _p
from boltzax.cosmology import Cosmology

_TOP = """# Parameters

Every parameter of `boltzax.Cosmology`, which is also what `Cosmology.from_dict`, YAML files, the command line and
`boltzax.inference` accept. This page is made from the code by `python -m boltzax.parameters_page > docs/parameters.md`.

Parameters in one row fix the same quantity: give one of them. Vectors hold one number for each massive species.

## Stored

These are the fields of a `Cosmology`, what derivatives are taken of and what `replace` keeps.

| parameter | unit | default | range | in its place | meaning |
|---|---|---|---|---|---|
"""
_ALTERNATIVES = """
## Alternatives

They are turned into stored parameters when a `Cosmology` is made, with derivatives; their value is a property of it.

| parameter | unit | meaning |
|---|---|---|
"""
_SPELLINGS = """
Other spellings: {}.
"""


def page() -> str:
    """The page as Markdown."""
    defaults = Cosmology().to_dict()
    groups = {name: group for group in _p.GROUPS for name in group}
    lines = []
    for name, parameter in _p.STORED.items():
        others = ", ".join(f"`{other}`" for other in groups.get(name, ()) if other != name)
        cells = (f"`{name}`", parameter.unit, _default(name, defaults), _range(parameter), others, parameter.meaning)
        lines.append(_row(cells))
    rows = [_row((f"`{n}`", p.unit, p.meaning)) for n, p in _p.PARAMETERS.items() if n not in _p.STORED]
    spellings = ", ".join(f"`{other}` for `{name}`" for other, name in _p.SPELLINGS.items())
    return _TOP + "\n".join(lines) + "\n" + _ALTERNATIVES + "\n".join(rows) + "\n" + _SPELLINGS.format(spellings)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def _default(name: str, defaults: dict) -> str:
    value = defaults.get(name, "")
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, list) else str(value)


def _range(parameter: _p.Parameter) -> str:
    if parameter.low == -parameter.high:
        return ""
    bracket = "[" if parameter.low_included else "("
    return f"{bracket}{parameter.low:g}, {parameter.high:g})"


if __name__ == "__main__":
    print(page(), end="")
