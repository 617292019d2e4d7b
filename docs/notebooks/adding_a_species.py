# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Adding a species
#
# A species that does not scatter off photons is one class in a notebook. Here it is dark matter with a speed of sound:
# without pressure in the background, but with $c_s^2 = \delta P / \delta\rho$ in its rest frame, as in the generalised
# dark matter of Hu (1998, arXiv:astro-ph/9801234). [Add a species](../add-a-species.md) tells what each method is for.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Array, Float

import boltzax
from boltzax.constants import H0_UNIT
from boltzax.fluids import Fluid

# %% [markdown]
# ## The equations
#
# A fluid with $w = 0$ in the synchronous gauge of cold dark matter:
#
# $$\delta' = -\theta - \frac{h'}{2} - 3 aH c_s^2 \left(\delta + 3 aH \frac{\theta}{k^2}\right), \qquad
# \theta' = -(1 - 3 c_s^2)\, aH \theta + c_s^2 k^2 \delta .$$


# %%
class SoundingMatter(Fluid):
    """Dark matter of density omega = Omega h^2 today, pressureless but for its sound, of squared speed c2."""

    omega: Float[Array, ""]
    c2: Float[Array, ""]

    functions = ("density",)

    @property
    def size(self):
        return 2  # delta, theta

    def rho(self, a):  # 8 pi G rho / 3 in 1/Mpc^2
        return self.early_cold() / a**3

    def pressure(self, a):
        return jnp.zeros_like(a)

    def time_functions(self, background, a):
        return {"density": a**2 * self.rho(a)}

    def slopes(self, k, t, v, metric):
        delta, theta = v
        delta_prime = -theta - 0.5 * metric.h_prime - 3.0 * t.aH * self.c2 * (delta + 3.0 * t.aH * theta / k**2)
        return delta_prime, -(1.0 - 3.0 * self.c2) * t.aH * theta + self.c2 * k**2 * delta

    def stress(self, k, t, v, metric):
        delta, theta = v
        return t.own["density"] * delta, t.own["density"] * theta

    def start(self, k, tau, delta_g, theta_g):  # adiabatic, at rest as cold dark matter is
        return 0.75 * delta_g, jnp.zeros_like(delta_g)

    def early_cold(self):  # it clusters as cold dark matter on the largest scales, and counts as matter
        return self.omega * H0_UNIT**2

    def rho_cold(self, a):
        return self.rho(a)


# %% [markdown]
# ## Is it right?
#
# Without sound it is cold dark matter: a universe in which a tenth of the dark matter is this species has the spectra
# of one without it.

# %%
OMEGA_CDM, PART = 0.12, 0.1
settings = dict(outputs=boltzax.Outputs(l_max=2000), precision=boltzax.Precision.fast())


def universe(c2, part=PART):
    """A part of the dark matter sounds."""
    species = SoundingMatter(jnp.asarray(part * OMEGA_CDM), jnp.asarray(c2))
    return boltzax.Cosmology(omega_cdm=(1.0 - part) * OMEGA_CDM, fluids=(species,))


plain = boltzax.solve(boltzax.Cosmology(omega_cdm=OMEGA_CDM), **settings)
silent = boltzax.solve(universe(0.0), **settings)
k = np.geomspace(1e-3, 1.0, 200)
difference = np.abs(silent.lensed_cl.tt[2:] / plain.lensed_cl.tt[2:] - 1.0).max()
difference_pk = np.abs(silent.pk_lin(k, 0.0) / plain.pk_lin(k, 0.0) - 1.0).max()
print(f"largest difference from cold dark matter: {difference:.1e} in C_l^TT, {difference_pk:.1e} in P(k)")

# %% [markdown]
# ## What it does
#
# Below its sound horizon the species does not cluster, and matter there grows more slowly: the matter power spectrum
# falls, and lensing with it, which leaves the acoustic peaks sharper.

# %%
fig, axes = plt.subplots(1, 2, figsize=(11, 4))
for c2 in (1e-7, 1e-6, 1e-5, 1e-4):
    results = boltzax.solve(universe(c2), **settings)
    axes[0].semilogx(k, results.pk_lin(k, 0.0) / plain.pk_lin(k, 0.0), label=f"$c_s^2 = 10^{{{np.log10(c2):.0f}}}$")
    ell = results.lensed_cl.ell[2:]
    axes[1].plot(ell, results.lensed_cl.tt[2:] / plain.lensed_cl.tt[2:] - 1.0)
axes[0].set(xlabel="$k$ [1/Mpc]", ylabel="$P(k)$ / cold dark matter", title="matter")
axes[1].set(xlabel="$l$", ylabel=r"$\Delta C_l^{TT} / C_l^{TT}$", title="lensed temperature")
axes[0].legend()
fig.tight_layout()

# %% [markdown]
# ## Derivatives
#
# They come with the class: nobody writes a tangent. By the species' own $c_s^2$, at the point where it is cold dark
# matter, the response of the power spectrum grows as $k^2$ (dashed) inside the horizon.


# %%
def ln_power(c2):
    return jnp.log(boltzax.solve(universe(c2), **settings).pk_lin(k, 0.0))


_, slope = jax.jvp(ln_power, (0.0,), (1.0,))
step = 1e-10
quotient = (ln_power(step) - ln_power(0.0)) / step
k_low = k < 0.1
print(f"difference quotient and derivative agree to {np.abs(quotient / slope - 1.0)[k_low].max():.1e}")

fig, ax = plt.subplots(figsize=(6, 4))
ax.loglog(k, -slope, label=r"$-d \ln P / d c_s^2$ at $c_s^2 = 0$")
ax.loglog(k, -slope[-1] * (k / k[-1]) ** 2, "k--", lw=1, label=r"$\propto k^2$")
ax.set(xlabel="$k$ [1/Mpc]")
ax.legend()
fig.tight_layout()
