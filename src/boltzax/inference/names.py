"""Parameter names of other programs."""

__all__ = ["RENAMES"]

#: names of CAMB, cobaya and candl, and those of boltzax
RENAMES = {
    "ombh2": "omega_b", "omegabh2": "omega_b", "omch2": "omega_cdm", "omegach2": "omega_cdm", "omegab": "Omega_b",
    "omegac": "Omega_cdm", "omegam": "Omega_m", "omegamh2": "omega_m", "As": "A_s", "ns": "n_s", "logA": "ln_A_s_1e10",
    "tau": "tau_reio", "zrei": "z_reio", "deltazrei": "reionization_width", "nnu": "N_eff", "Neff": "N_eff",
    "mnu": "m_ncdm", "TCMB": "T_cmb", "yhe": "YHe", "yheused": "YHe", "rdrag": "rs_drag",
    "helium_redshift": "helium_fullreio_redshift", "helium_delta_redshift": "helium_fullreio_width",
    "pivot_scalar": "k_pivot", "omegal": "Omega_Lambda", "conformal_age": "tau_0",
    "w": "w0_fld", "wa": "wa_fld", "nrun": "alpha_s", "nrunrun": "beta_s", "nt": "n_t",
    "ntrun": "alpha_t", "HMCode_logT_AGN": "log10T_heat_hmcode",
}  # fmt: skip
