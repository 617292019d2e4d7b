# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # A Fisher forecast
#
# How well can an experiment measure the parameters? With exact derivatives the Fisher matrix $F_{ij} = \sum_l
# f_{sky} \frac{2l+1}{2} \mathrm{tr} [C^{-1} \partial_i C\, C^{-1} \partial_j C]$ needs one call for each experiment,
# and no choice of step sizes.

# %%
import dataclasses

import matplotlib.pyplot as plt
import numpy as np

import boltzax
from boltzax.inference import fisher

cosmo = boltzax.Cosmology()
params = ("h", "omega_b", "omega_cdm", "n_s", "ln_A_s_1e10", "tau_reio", "N_ur")
fast = boltzax.Precision.fast()

# %% [markdown]
# An experiment is its noise, its beams, its part of the sky and its multipoles. `fisher.PLANCK` and others stand
# ready; this one is of our own.

# %%
planck = dataclasses.replace(fisher.PLANCK, l_max_T=2000, l_max_P=2000)
survey = fisher.Experiment(
    "a survey", (fisher.Channel(noise_T=6.0, noise_P=8.5, beam=1.4),), f_sky=0.4, l_min=30, l_max_T=2000, l_max_P=2000
)
forecasts = {
    "Planck-like": fisher.forecast(planck, cosmo, params, precision=fast),
    "survey": fisher.forecast(survey, cosmo, params, priors={"tau_reio": 0.0073}, precision=fast),
}
for forecast in forecasts.values():
    print(forecast)

# %% [markdown]
# `tau_reio` is measured at $l < 30$, which the survey does not see: it takes Planck's as a prior. A parameter that
# is held fixed is one with a narrow prior; here is what a free number of neutrinos costs the others.

# %%
narrow = {name: forecast.fisher.copy() for name, forecast in forecasts.items()}
for name, forecast in forecasts.items():
    narrow[name][-1, -1] += 1.0 / 1e-6**2
    fixed = dataclasses.replace(forecast, fisher=narrow[name])
    ratio = {p: forecast.sigma[p] / fixed.sigma[p] for p in params[:-1]}
    print(name, "sigma with N_ur free / fixed:", ", ".join(f"{p} {r:.2f}" for p, r in ratio.items()))


# %% [markdown]
# Ellipses of 68% and 95%.


# %%
def ellipse(covariance, level):
    """Points of the curve of constant probability of two Gaussian parameters."""
    angle = np.linspace(0.0, 2.0 * np.pi, 200)
    radius = np.sqrt(-2.0 * np.log(1.0 - level))
    return radius * np.linalg.cholesky(covariance) @ np.stack([np.cos(angle), np.sin(angle)])


pairs = (("omega_cdm", "h"), ("n_s", "N_ur"), ("tau_reio", "ln_A_s_1e10"))
fig, axes = plt.subplots(1, 3, figsize=(12, 4))
for ax, pair in zip(axes, pairs, strict=True):
    index = [params.index(name) for name in pair]
    for color, (name, forecast) in zip(("C0", "C1"), forecasts.items(), strict=True):
        for level, style in ((0.68, "-"), (0.95, "--")):
            x, y = ellipse(forecast.covariance[np.ix_(index, index)], level)
            ax.plot(forecast.x[index[0]] + x, forecast.x[index[1]] + y, style, color=color, label=name)
    ax.set(xlabel=pair[0], ylabel=pair[1])
handles, labels = axes[0].get_legend_handles_labels()
axes[0].legend(handles[::2], labels[::2])
fig.tight_layout()
