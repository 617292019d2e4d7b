"""Species that are fluids: each one file, with its background and its linear equations."""

from boltzax.fluids.dark_energy import CPL, PPF, DarkEnergy, SoundSpeed, Tabulated
from boltzax.fluids.decaying_dark_matter import DecayingDarkMatter
from boltzax.fluids.early_dark_energy import EarlyDarkEnergy
from boltzax.fluids.fluid import Fluid, Instant, Metric
from boltzax.fluids.interacting_radiation import InteractingRadiation

__all__ = [
    "CPL", "PPF", "DarkEnergy", "DecayingDarkMatter", "EarlyDarkEnergy", "Fluid", "Instant", "InteractingRadiation",
    "Metric", "SoundSpeed", "Tabulated",
]  # fmt: skip
