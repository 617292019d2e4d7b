"""The demonstration's gate: `python docs/demo/table_gate.py CRITERION OUT SEED`.

As `python -m oracle gate`, but at points drawn from the committed reference tables, so that no CLASS run is needed and
a verdict takes a minute. The criterion names how many points, and the largest error of each spectrum at any of them.
"""

import json
import random
import sys
import tomllib
from pathlib import Path

from oracle import accuracy
from oracle import reference as ref

import boltzax


def main(criterion: str, out: str, seed: str) -> int:
    """Writes the verdict; returns 0 if it is favourable."""
    wanted = tomllib.loads(Path(criterion).read_text())
    with_neutrinos = [name for name, point in ref.POINTS.items() if point["m_ncdm"]]  # one compilation for all
    points = random.Random(int(seed)).sample(sorted(with_neutrinos), wanted["points"])
    worst = dict.fromkeys(wanted["tolerance"], 0.0)
    for name in points:
        results = boltzax.solve(boltzax.Cosmology(**ref.POINTS[name]), outputs=boltzax.Outputs(l_max=accuracy.L_MAX))
        report = accuracy.point_report(name, results)
        for spectrum in worst:
            kind, _, which = spectrum.partition("_")
            worst[spectrum] = max(worst[spectrum], report[kind][which]["total"]["max"])
    rows = [
        {"name": name, "value": worst[name], "required": required, "passed": worst[name] <= required}
        for name, required in wanted["tolerance"].items()
    ]
    passed = all(row["passed"] for row in rows)
    verdict = {"passed": passed, "seed": int(seed), "points": points, "rows": rows}
    Path(out).write_text(json.dumps(verdict) + "\n")
    print(f"points {', '.join(points)}: {'holds' if passed else 'does not hold'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
