# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Spectra and their derivatives
#
# What does a parameter do to the spectra? One solution of the equations answers for all of them: `boltzax.jacobian`
# returns the spectra and their exact derivatives.

# %%
import matplotlib.pyplot as plt
import numpy as np

import boltzax

cosmo = boltzax.Cosmology()  # Planck 2018
settings = dict(outputs=boltzax.Outputs(l_max=2000), precision=boltzax.Precision.fast())
print(cosmo)

# %% [markdown]
# ## One parameter at three values
#
# More baryons make the odd peaks (compression) higher and the even ones (rarefaction) lower, and weaken the damping
# at high l. The first call compiles; the others take a fraction of a second.

# %%
fig, ax = plt.subplots(figsize=(8, 4.5))
for omega_b in (0.020, 0.02237, 0.025):
    results = boltzax.solve(cosmo.replace(omega_b=omega_b), **settings)
    D_l = results.lensed_cl.D_l("muK2")
    ax.plot(D_l.ell[2:], D_l.tt[2:], label=rf"$\omega_b = {omega_b}$")
ax.set(xlabel=r"$l$", ylabel=r"$D_l^{TT}$ [$\mu$K$^2$]", xlim=(2, 2000))
ax.legend()
fig.tight_layout()

# %% [markdown]
# ## All derivatives in one pass
#
# What is differentiated is a function of the results; here it is the lensed band powers in muK^2.

# %%
params = ("omega_b", "omega_cdm", "h", "n_s", "ln_A_s_1e10", "tau_reio")


def band_powers(results):
    return results.lensed_cl.D_l("muK2")


results, jac = boltzax.jacobian(cosmo, params, of=band_powers, **settings)
jac["omega_b"]

# %% [markdown]
# Each panel shows the change of $D_l^{TT}$ over one standard deviation of Planck 2018, $\sigma\, dD_l/d\theta$,
# beside the cosmic variance of a band of 30 multipoles (grey). A shift of the peaks (`h`, at fixed densities) looks
# like the derivative of the spectrum itself; `ln_A_s_1e10` and `tau_reio` are nearly each other's mirror image
# beyond the first multipoles, which is why only large angles tell them apart.

# %%
sigma = dict(omega_b=0.00015, omega_cdm=0.0012, h=0.0054, n_s=0.0042, ln_A_s_1e10=0.014, tau_reio=0.0073)
ell = np.arange(2, 2001)
D_l = band_powers(results)
variance = np.sqrt(2.0 / (2 * ell + 1) / 30.0) * np.asarray(D_l.tt[2:])
fig, axes = plt.subplots(2, 3, figsize=(11, 6), sharex=True, sharey=True)
for ax, name in zip(axes.flat, params, strict=True):
    ax.fill_between(ell, -variance, variance, color="0.85", lw=0)
    ax.plot(ell, sigma[name] * np.asarray(jac[name].tt[2:]), lw=1.2)
    ax.set_title(name, fontsize=10)
    ax.axhline(0.0, color="k", lw=0.5)
for ax in axes[1]:
    ax.set(xlabel=r"$l$", xlim=(2, 2000), ylim=(-60, 60))
for ax in axes[:, 0]:
    ax.set_ylabel(r"$\sigma\, dD_l^{TT}/d\theta$ [$\mu$K$^2$]")
fig.tight_layout()

# %% [markdown]
# ## Polarisation
#
# The same for EE, relative to the spectrum (linear below 0.03). Reionization makes the bump at $l < 20$.

# %%
fig, ax = plt.subplots(figsize=(8, 4.5))
for name in params:
    ax.plot(ell, sigma[name] * np.asarray(jac[name].ee[2:] / D_l.ee[2:]), label=name, lw=1.2)
ax.set_yscale("symlog", linthresh=0.03)
ax.set(xscale="log", xlim=(2, 2000), xlabel=r"$l$", ylabel=r"$\sigma\, d\ln D_l^{EE}/d\theta$")
ax.legend(ncols=2)
fig.tight_layout()

# %% [markdown]
# ## Against differences
#
# A central difference of two solutions agrees with the derivative as far as differences can. Because nothing in the
# solver switches, small steps work: the error falls with the square of the step.

# %%
for step in (4e-4, 2e-4, 1e-4):
    up, down = (
        band_powers(boltzax.solve(cosmo.replace(omega_b=0.02237 + sign * step), **settings)).tt for sign in (1, -1)
    )
    error = np.abs((up - down) / (2 * step) - jac["omega_b"].tt).max() / np.abs(jac["omega_b"].tt).max()
    print(f"step {step:.0e}: largest difference {error:.1e} of the largest derivative")
