# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A fit
#
# From data to a posterior: a likelihood, a model, the best fit by Gauss-Newton steps, and the covariance. The data
# here are made up, so that nothing needs to be downloaded; at the end stands what changes for Planck's.

# %%
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import boltzax
from boltzax import inference

# %% [markdown]
# ## A likelihood of one's own
#
# A likelihood is a module that holds the data and says how far a theory is from them, in units of the errors. This
# one knows band means of TT, TE and EE, and has a calibration of its own with a prior.


# %%
class Bands(inference.Likelihood):
    """Means of 40 multipoles of tt, te and ee, with independent Gaussian errors."""

    data: jnp.ndarray
    error: jnp.ndarray
    name: str = "bands"
    l_max: int = 2000
    z: tuple = ()
    nuisance: tuple = (("calibration", 1.0, 0.0025),)

    @staticmethod
    def bands(theory):
        return jnp.concatenate([getattr(theory, s)[41:2001].reshape(49, 40).mean(axis=1) for s in ("tt", "te", "ee")])

    def residuals(self, theory, nuisance):
        return (self.data - nuisance["calibration"] * self.bands(theory)) / self.error


# %% [markdown]
# ## Data
#
# Spectra of a universe that the fit does not know, with the cosmic variance of the whole sky.

# %%
fast = boltzax.Precision.fast()
truth = boltzax.Cosmology(h=0.69, omega_b=0.0225, omega_cdm=0.118, ln_A_s_1e10=3.05, n_s=0.97, tau_reio=0.0544)
universe = boltzax.solve(truth, boltzax.Outputs(l_max=2000, nonlinear="hmcode2020"), fast)
spectra = inference.observables.Observables()(universe)


def cosmic_variance(s):
    ell = np.arange(41, 2001)
    tt, te, ee = (np.asarray(getattr(s, name)[41:2001]) for name in ("tt", "te", "ee"))
    per_ell = [np.sqrt(2.0) * tt, np.sqrt(te**2 + tt * ee), np.sqrt(2.0) * ee] / np.sqrt(2 * ell + 1)
    return np.sqrt((per_ell**2).reshape(3, 49, 40).mean(-1) / 40.0).ravel()


error = cosmic_variance(spectra)
noise = np.random.default_rng(1).normal(size=error.size)
data = Bands(jnp.asarray(Bands.bands(spectra) + error * noise), jnp.asarray(error))

# %% [markdown]
# ## Fit
#
# Each step solves the equations once, with the derivatives of every free parameter, and three or four steps are
# enough.

# %%
free = ("h", "omega_b", "omega_cdm", "ln_A_s_1e10", "n_s")
model = inference.Model([data], free=free, precision=fast)
best = inference.fit(model, progress=False)
print(best)

# %%
names = [*free, "calibration"]
expected = [float(np.ravel(getattr(truth, name))[0]) for name in free] + [1.0]
for name, value, sigma, true in zip(names, best.x, best.sigma, expected, strict=True):
    print(f"{name:12} {value:9.5f} +- {sigma:.5f}   truth {true:8.5f}   off by {(value - true) / sigma:+.1f} sigma")

# %%
ell = 60.5 + 40.0 * np.arange(49)
fitted = model.theory(best.x)
residuals = np.asarray(data.residuals(fitted, model.nuisance(best.x)))
fig, axes = plt.subplots(2, 1, figsize=(8, 6), sharex=True, height_ratios=(2, 1))
axes[0].errorbar(ell, data.data[:49], data.error[:49], fmt=".", label="data")
axes[0].plot(fitted.tt[:2001], lw=1.0, label="best fit")
axes[0].set(ylabel=r"$D_l^{TT}$ [$\mu$K$^2$]", xlim=(2, 2000))
axes[0].legend()
axes[1].axhline(0.0, color="k", lw=0.5)
for i, name in enumerate(("TT", "TE", "EE")):
    axes[1].plot(ell + 6 * i, residuals[49 * i : 49 * (i + 1)], ".", label=name)
axes[1].set(xlabel=r"$l$", ylabel="residual [sigma]")
axes[1].legend(ncols=3)
fig.tight_layout()

# %% [markdown]
# ## Beyond the Gaussian
#
# `importance_sample` corrects the Gaussian of the Fisher matrix by the posterior itself; weights near one say that
# it was good. A few draws show how; a result wants hundreds.

# %%
chain = inference.importance_sample(best, draws=12, progress=False)
print(chain.summary())

# %% [markdown]
# ## Planck's data instead
#
# Fetch the files as [Inference](../inference.md) says, then
#
# ```python
# model = inference.Model(
#     [inference.PlikLite("data"), inference.LowTT("data"), inference.LowEE()],
#     free=("h", "omega_b", "omega_cdm", "ln_A_s_1e10", "n_s", "tau_reio"),
# )
# best = inference.fit(model)
# ```
#
# where `data` is the folder that holds them; or on the command line `boltzax fit --data data --out planck`.
