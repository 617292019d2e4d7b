"""Make tests/reference/lensing_class.npz: unlensed spectra from CLASS and what its lensing module makes of them.

Only the lensing step is under test, so the unlensed spectra run at CLASS's default precision; what matters is that
the lensed ones belong to them. CLASS's accurate mode takes as many Gauss-Legendre nodes as there are multipoles,
which aliases at high l (4e-3 in BB, 9e-5 in TT at l = 2500 with delta_l_max = 2000): num_mu_minus_lmax adds nodes.
The l step is small because CLASS interpolates its spectra by cubic splines, whose kinks are not smooth in l.

Run: python oracle/make_lensing_reference.py [--out FILE]   (needs the oracle extra; under a minute)
"""

import argparse
import datetime
import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

from oracle.files import save_npz

L_MAX, DELTA_L_MAX = 2500, 2000
SETTINGS = {
    "h": 0.6736,
    "omega_b": 0.02237,
    "omega_cdm": 0.12,
    "tau_reio": 0.0544,
    "ln_A_s_1e10": 3.044,
    "n_s": 0.9649,
    "T_cmb": 2.7255,
    "YHe": 0.2454,
    "N_ur": 3.044,
    "output": "tCl,pCl,lCl",
    "lensing": "yes",
    "l_max_scalars": L_MAX,
    "delta_l_max": DELTA_L_MAX,
    "accurate_lensing": 1,
    "num_mu_minus_lmax": 3000,
    "lensing_C2_order": 2,
    "lensing_C0_order": 0,
    "l_linstep": 5,
    "l_logstep": 1.05,
}


def spectra():
    """Spectra by name (u: unlensed), single precision: rounding is far below what the test asks."""
    from classy import Class

    code = Class()
    code.set(SETTINGS)
    code.compute()
    lensed, unlensed = code.lensed_cl(L_MAX), code.raw_cl(L_MAX + DELTA_L_MAX)
    arrays = {k: lensed[k] for k in ("tt", "te", "ee", "bb")}
    arrays |= {"u" + k: unlensed[k] for k in ("tt", "te", "ee", "pp")}
    return {k: v.astype(np.float32) for k, v in arrays.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).parents[1] / "tests" / "reference" / "lensing_class.npz"
    parser.add_argument("--out", type=Path, default=default)
    out = parser.parse_args().out
    arrays = spectra()
    manifest = {
        "code": "classy " + version("classy"),
        "settings": SETTINGS,
        "date": datetime.date.today().isoformat(),
        "sha256": hashlib.sha256(b"".join(arrays[k].tobytes() for k in sorted(arrays))).hexdigest(),
    }
    save_npz(out, {"manifest": np.array(json.dumps(manifest)), **arrays})
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
