"""Cosmologies of the benchmarks, the same for every code."""

import numpy as np

YHE = 0.2454
SPECTRA = ("tt", "te", "ee")  # lensed, of which errors are stated
NEUTRINOS = {
    "massless": {"m_ncdm": (), "N_ur": 3.044},
    "massive": {"m_ncdm": (0.06,), "N_ur": 2.0328, "T_ncdm": 0.71611},
}
_CENTRE = {"h": 0.6736, "omega_b": 0.02237, "omega_cdm": 0.12, "ln_A_s_1e10": 3.044, "n_s": 0.9649, "tau_reio": 0.0544}
_WIDTH = {"h": 0.02, "omega_b": 0.0005, "omega_cdm": 0.004, "ln_A_s_1e10": 0.04, "n_s": 0.015, "tau_reio": 0.01}


def cosmology_at(index: int | None) -> dict[str, float]:
    """Parameters of point `index`: uniform in a box around Planck 2018; its centre for None."""
    if index is None:
        return dict(_CENTRE)
    draw = np.random.default_rng(1000 + index).uniform(-1.0, 1.0, len(_CENTRE))
    return {k: c + _WIDTH[k] * float(u) for (k, c), u in zip(_CENTRE.items(), draw, strict=True)}
