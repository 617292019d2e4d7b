"""Forecasts: Fisher matrices of CMB experiments from exact derivatives of the spectra.

Noise of beam theta and level w^-1/2: N_l = w^-1 exp(l(l+1) theta^2 / 8 ln 2) (Knox 1995, arXiv:astro-ph/9504054);
channels add their inverses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import boltzax
from boltzax.cosmology import Cosmology
from boltzax.errors import ParameterRangeError, PrecisionError
from boltzax.inference.observables import Observables, Theory
from boltzax.precision import Outputs, Precision

__all__ = ["CMB_S4", "COSMIC_VARIANCE", "PLANCK", "SIMONS", "Channel", "Experiment", "Forecast", "forecast"]

_ARCMIN = np.pi / 180.0 / 60.0


@dataclass(frozen=True)
class Channel:
    """A frequency band: white noise of T and of E, B [muK arcmin], beam (full width at half maximum) [arcmin].

    red_T, red_P: further noise red (l / knee)^slope [muK^2 sr] at low l.
    """

    noise_T: float
    noise_P: float
    beam: float
    red_T: float = 0.0
    red_P: float = 0.0
    knee: tuple[float, float] = (1000.0, 700.0)
    slope: tuple[float, float] = (-3.5, -1.4)

    def noise(self, ell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """C_l of the noise of T and of E [muK^2], seen through the beam."""
        blur = np.exp(ell * (ell + 1.0) * (self.beam * _ARCMIN) ** 2 / (8.0 * np.log(2.0)))
        out = []
        for white, red, knee, slope in zip(
            (self.noise_T, self.noise_P), (self.red_T, self.red_P), self.knee, self.slope, strict=True
        ):
            out.append(((white * _ARCMIN) ** 2 + red * (ell / knee) ** slope) * blur)
        return out[0], out[1]


@dataclass(frozen=True)
class Experiment:
    """Channels (none: no noise), the part of the sky, and the multipoles used of T and of E."""

    name: str
    channels: tuple[Channel, ...]
    f_sky: float
    l_min: int = 2
    l_max_T: int = 2500
    l_max_P: int = 2500

    def __post_init__(self):
        if not 0.0 < self.f_sky <= 1.0:
            raise ParameterRangeError(f"f_sky must lie above 0 and at most at 1, not {self.f_sky}")
        if not 2 <= self.l_min < min(self.l_max_T, self.l_max_P):
            raise PrecisionError(f"l_min = {self.l_min} must be at least 2 and below l_max_T and l_max_P")

    @property
    def l_max(self) -> int:
        """The largest multipole used."""
        return max(self.l_max_T, self.l_max_P)

    def noise(self) -> tuple[np.ndarray, np.ndarray]:
        """C_l of the noise of T and of E [muK^2] at l_min..l_max; infinite where a field is not used."""
        ell = np.arange(self.l_min, self.l_max + 1.0)
        if self.channels:
            each = [channel.noise(ell) for channel in self.channels]
            T, P = (1.0 / sum(1.0 / one[i] for one in each) for i in (0, 1))
        else:
            T, P = np.zeros_like(ell), np.zeros_like(ell)
        return np.where(ell > self.l_max_T, np.inf, T), np.where(ell > self.l_max_P, np.inf, P)


def _simons(noise: float, beam: float, red: float) -> Channel:
    """A band of the large telescope: arXiv:1808.07445, eq. 1 and table 2; 5 years at 20% x 85%, 40% of the sky."""
    sr_per_s = 4.0 * np.pi * 0.4 / (5 * 365.25 * 86400 * 0.2 * 0.85)
    white_P = np.sqrt(2.0) * noise
    return Channel(noise, white_P, beam, red_T=red * sr_per_s, red_P=(white_P * _ARCMIN) ** 2)


#: no noise, the whole sky
COSMIC_VARIANCE = Experiment("cosmic variance", (), 1.0)
#: 100, 143 and 217 GHz of arXiv:1807.06205, table 4
PLANCK = Experiment(
    "Planck-like", (Channel(77.4, 117.6, 9.66), Channel(33.0, 70.2, 7.22), Channel(46.8, 105.0, 4.90)), 0.6
)
#: baseline of 93, 145 and 225 GHz of arXiv:1808.07445, tables 1 and 2
SIMONS = Experiment(
    "Simons-Observatory-like",
    (_simons(8.0, 2.2, 230.0), _simons(10.0, 1.4, 1500.0), _simons(22.0, 1.0, 17000.0)),
    0.4, l_min=30, l_max_T=3000, l_max_P=5000,
)  # fmt: skip
#: as in arXiv:1610.02743: 1 muK arcmin, 1 arcmin
CMB_S4 = Experiment("CMB-S4-like", (Channel(1.0, np.sqrt(2.0), 1.0),), 0.4, l_min=30, l_max_T=3000, l_max_P=5000)


@dataclass(frozen=True, repr=False)
class Forecast:
    """Fisher matrix [n, n] of the parameters `names` around the values `x`."""

    names: tuple[str, ...]
    x: np.ndarray
    fisher: np.ndarray
    experiment: str = ""
    priors: dict[str, float] = field(default_factory=dict)

    @property
    def covariance(self) -> np.ndarray:
        """Inverse of the Fisher matrix."""
        scale = 1.0 / np.sqrt(np.diag(self.fisher))
        return np.linalg.inv(self.fisher * np.outer(scale, scale)) * np.outer(scale, scale)

    @property
    def sigma(self) -> dict[str, float]:
        """Standard deviation of each parameter, the others marginalised."""
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    def __add__(self, other: "Forecast") -> "Forecast":
        """Independent experiments together; the parameters must be the same."""
        if self.names != other.names:
            raise ParameterRangeError(f"forecasts of {self.names} and of {other.names} cannot be added")
        return replace(self, fisher=self.fisher + other.fisher, experiment=f"{self.experiment} + {other.experiment}")

    def __repr__(self) -> str:
        rows = [f"  {n:<14} {v: .6g} +- {s:.2g}" for (n, s), v in zip(self.sigma.items(), self.x, strict=True)]
        return "\n".join([f"Forecast({self.experiment}", *rows, ")"])


def forecast(
    experiment: Experiment,
    cosmo: Cosmology,
    params: Sequence[str],
    priors: Mapping[str, float] | None = None,
    precision: Precision = Precision(),  # noqa: B008
) -> Forecast:
    """The Fisher matrix of lensed TT, TE and EE around cosmo.

    params: fields of Cosmology that hold one number. priors: standard deviations of Gaussian priors. The covariance is
    that of Gaussian fields: correlations that lensing makes between multipoles are left out. Raises what
    `boltzax.jacobian` raises, and UnknownParameterError for other names.
    """
    observables = Observables()
    results, jac = boltzax.jacobian(cosmo, params, observables, Outputs(l_max=experiment.l_max), precision)
    theory = observables(results)
    columns = [jac[name] for name in params]
    derivatives = [_one(name, column, theory) for name, column in zip(params, columns, strict=True)]
    fisher = np.array(information(experiment, theory, derivatives))
    for name, sigma in (priors or {}).items():
        i = list(params).index(name)
        fisher[i, i] += 1.0 / sigma**2
    x = np.array([float(np.ravel(getattr(cosmo, name))[0]) for name in params])
    return Forecast(tuple(params), x, fisher, experiment.name, dict(priors or {}))


def _one(name: str, column: Theory, theory: Theory) -> Theory:
    """The derivative in a parameter of one number, without the axis that species have."""
    if column.tt.ndim == theory.tt.ndim:
        return column
    if column.tt.shape[0] != 1:
        raise ParameterRangeError(f"{name} holds {column.tt.shape[0]} values: a forecast varies one number")
    return jax.tree.map(lambda v: v[0], column)


def information(experiment: Experiment, theory: Theory, derivatives: Sequence[Theory]) -> Float[Array, "n n"]:
    """sum_l f_sky (2l+1)/2 tr[C^-1 dC_i C^-1 dC_j], C the matrix of TT, TE, EE with noise (arXiv:astro-ph/9609170)."""
    ell = np.arange(experiment.l_min, experiment.l_max + 1.0)
    unit = 2.0 * np.pi / (ell * (ell + 1.0))
    cut = lambda spectrum: unit * spectrum[experiment.l_min : experiment.l_max + 1]
    noise_T, noise_P = (np.minimum(noise, 1e20) for noise in experiment.noise())
    tt, te, ee = cut(theory.tt) + noise_T, cut(theory.te), cut(theory.ee) + noise_P
    determinant = tt * ee - te**2
    inverse = jnp.stack([jnp.stack([ee, -te]), jnp.stack([-te, tt])]) / determinant  # [2, 2, l]
    products = []
    for d in derivatives:
        matrix = jnp.stack([jnp.stack([cut(d.tt), cut(d.te)]), jnp.stack([cut(d.te), cut(d.ee)])])
        products.append(jnp.einsum("abl,bcl->acl", inverse, matrix))
    weight = experiment.f_sky * (2.0 * ell + 1.0) / 2.0
    stacked = jnp.stack(products)
    return jnp.einsum("iabl,jbal,l->ij", stacked, stacked, weight)
