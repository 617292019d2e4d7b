"""Physical constants and unit conversions, each once.

SI values are the CODATA 2006 ones that CLASS uses; lengths in boltzax are Mpc, c = 1, temperatures K.
"""

import math

C_LIGHT = 2.99792458e8  # speed of light [m/s], exact
G_NEWTON = 6.67428e-11  # Newton's constant [m^3/kg/s^2]
H_PLANCK = 6.62606896e-34  # Planck's constant [J s]
K_BOLTZMANN = 1.3806504e-23  # Boltzmann's constant [J/K]
EV = 1.602176487e-19  # electron volt [J]
SIGMA_THOMSON = 6.6524616e-29  # Thomson cross section [m^2]
M_ELECTRON = 9.10938215e-31  # electron mass [kg]
M_PROTON = 1.672621637e-27  # proton mass [kg]
M_HYDROGEN = 1.673575e-27  # hydrogen-atom mass [kg]
HE4_TO_H_MASS = 3.9715  # m(He4) / m(H)
MPC = 3.085677581282e22  # megaparsec [m]
M_SUN = 1.98847e30  # solar mass [kg]
GYR = 3.15576e16  # 10^9 Julian years [s]

SIGMA_STEFAN_BOLTZMANN = 2.0 * math.pi**5 * K_BOLTZMANN**4 / (15.0 * H_PLANCK**3 * C_LIGHT**2)  # [W/m^2/K^4]
EV_PER_KELVIN = K_BOLTZMANN / EV  # k_B in eV/K

H0_UNIT = 1.0e5 / C_LIGHT  # 100 km/s/Mpc in 1/Mpc: H0 = h * H0_UNIT
GYR_PER_MPC = MPC / C_LIGHT / GYR  # light travel time of 1 Mpc in Gyr

OMEGA_GAMMA_PER_T4 = (4.0 * SIGMA_STEFAN_BOLTZMANN / C_LIGHT**3) / (
    3.0 * 1.0e10 / (8.0 * math.pi * G_NEWTON * MPC**2)
)  # omega_gamma = Omega_gamma h^2 over T_cmb^4
RELIC = 7.0 / 8.0 * (4.0 / 11.0) ** (4.0 / 3.0)  # one neutrino decoupled instantaneously, over photons
