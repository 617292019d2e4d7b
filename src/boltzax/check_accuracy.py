"""How far a run is from convergence: the same cosmology at a boosted precision."""

from dataclasses import dataclass, fields, replace

import numpy as np

from boltzax.cosmology import Cosmology
from boltzax.errors import PrecisionError
from boltzax.precision import Outputs, Precision
from boltzax.results import Results
from boltzax.solve import solve

_SPECTRA = {"unlensed_cl": ("tt", "ee", "te"), "lensed_cl": ("tt", "ee", "te", "bb", "pp")}
_BANDS = (2, 30, 500, 1000, 2000, 3000, 5000)
_K_PER_DECADE = 100
# settings of which a smaller value is finer, and those that set no accuracy or trade one error for another
_SMALLER = ("y_x_start", "y_min", "dy_min", "dy_max", "rec_radians", "dtau_late", "chi_step", "l_growth", "l_step")
_NEITHER = ("lanes", "block", "l_limber")


@dataclass(frozen=True)
class Change:
    """Change of one spectrum in one band under the boost: largest absolute value and where, root mean square.

    spectrum: such as "lensed_tt" or "pk"; low, high: band of l (both included) or of k [h/Mpc]; at: l, or k [h/Mpc].
    Relative, TE to sqrt(TT EE).
    """

    spectrum: str
    low: float
    high: float
    largest: float
    at: float
    rms: float


@dataclass(frozen=True)
class Accuracy:
    """What `check_accuracy` returns; print it for a table.

    changes: one for each spectrum and band; precision, boosted: the settings compared.
    """

    changes: tuple[Change, ...]
    precision: Precision
    boosted: Precision

    def largest(self, spectrum: str) -> float:
        """The largest change of a spectrum over all its bands; raises KeyError for one that is not there."""
        found = [change.largest for change in self.changes if change.spectrum == spectrum]
        if not found:
            raise KeyError(f"{spectrum}: compared were {', '.join(dict.fromkeys(c.spectrum for c in self.changes))}")
        return max(found)

    def __str__(self) -> str:
        lines = [f"{'change under the boost':24s}{'band':>16s}{'largest':>10s}{'at':>10s}{'rms':>10s}"]
        for c in self.changes:
            band = f"{c.low:g}-{c.high:g}"
            lines.append(f"{c.spectrum.replace('_', ' '):24s}{band:>16s}{c.largest:10.1e}{c.at:10.4g}{c.rms:10.1e}")
        return "\n".join(lines)


def check_accuracy(
    cosmo: Cosmology,
    outputs: Outputs = Outputs(),  # noqa: B008
    precision: Precision = Precision(),  # noqa: B008
    boosted: Precision | None = None,
) -> Accuracy:
    """How far the spectra of a cosmology move when every setting of the precision is boosted.

    The numerical error of a run, as far as more of everything reveals it; it does not see what both runs leave out.
    Takes two solutions and their compilation; not for use inside transformations.

    Args:
        cosmo: the cosmology, with concrete parameters.
        outputs: what is computed: C_l to l_max, lensed if asked for, P(k) at z = 0 to 90% of k_max, at most 1 h/Mpc.
        precision: the settings to be judged.
        boosted: what they are judged by, finer or equal in every setting; unless given, the finer of `precision` and
            `Precision.reference()` in each.

    Raises:
        PrecisionError: some setting of `boosted` is coarser than that of `precision`, or none is finer.
        BoltzaxError: see `boltzax.solve`.
    """
    boosted = finest(precision, Precision.reference()) if boosted is None else boosted
    _require_finer(precision, boosted)
    base, fine = (solve(cosmo, outputs, p) for p in (precision, boosted))
    return Accuracy((*_angular(base, fine), *_matter(base, fine, outputs)), precision, boosted)


def direction(name: str) -> int:
    """Whether a larger (1) or a smaller (-1) value of a setting is finer, or neither (0)."""
    if name in _NEITHER:
        return 0
    return -1 if name in _SMALLER else 1


def finest(a: Precision, b: Precision) -> Precision:
    """The finer value of each setting of two precisions; of a where neither is."""
    values = {}
    for field in fields(Precision):
        sign, pair = direction(field.name), (getattr(a, field.name), getattr(b, field.name))
        values[field.name] = max(pair, key=lambda v: sign * v) if sign else pair[0]
    return replace(a, **values)


def _require_finer(precision: Precision, boosted: Precision) -> None:
    coarser = [
        f.name
        for f in fields(Precision)
        if direction(f.name) * (getattr(boosted, f.name) - getattr(precision, f.name)) < 0
    ]
    if coarser:
        raise PrecisionError(f"boosted is coarser than precision in {', '.join(coarser)}: it cannot judge it")
    if finest(precision, boosted) == precision:
        raise PrecisionError("boosted is finer than precision in nothing: give a boosted precision that is")


def _angular(base: Results, fine: Results) -> list[Change]:
    found = []
    for kind, names in _SPECTRA.items():
        a, b = getattr(base, kind), getattr(fine, kind)
        if a is None:
            continue
        ell = np.asarray(a.ell)
        for name in names:
            ours, theirs = (np.asarray(getattr(cl, name))[2:] for cl in (a, b))
            pair = (np.asarray(getattr(b, 2 * x))[2:] for x in name)
            scale = np.sqrt(np.prod(list(pair), axis=0)) if name == "te" else theirs
            edges = [edge for edge in _BANDS if edge < ell[-1]]
            bands = zip(edges, [*(edge - 1 for edge in edges[1:]), ell[-1]], strict=True)
            spectrum = f"{kind.removesuffix('_cl')}_{name}"
            found += [_change(spectrum, ell[2:], (ours - theirs) / scale, *band) for band in bands]
    return found


def _matter(base: Results, fine: Results, outputs: Outputs) -> list[Change]:
    h = float(base.cosmology.h)
    low, high = 1e-4, min(1.0, 0.9 * outputs.k_max / h)
    k = np.geomspace(low, high, int(_K_PER_DECADE * np.log10(high / low)))
    ours, theirs = (np.asarray(results.pk_lin(k * h)) for results in (base, fine))
    return [_change("pk", k, ours / theirs - 1.0, low, high)]


def _change(spectrum: str, x: np.ndarray, change: np.ndarray, low: float, high: float) -> Change:
    inside = (x >= low) & (x <= high * (1.0 + 1e-12))
    x, change = x[inside], np.abs(change[inside])
    at = int(np.argmax(change))
    return Change(
        spectrum, float(low), float(high), float(change[at]), float(x[at]), float(np.sqrt(np.mean(change**2)))
    )
