"""Three-stage Radau IIA collocation: order 5, L-stable, the last node at the end of the step.

Hairer & Wanner, Solving Ordinary Differential Equations II, table IV.5.6.
"""

import numpy as np

_S = np.sqrt(6.0)
NODES = np.array([(4.0 - _S) / 10.0, (4.0 + _S) / 10.0, 1.0])
MATRIX = np.array(
    [
        [(88.0 - 7.0 * _S) / 360.0, (296.0 - 169.0 * _S) / 1800.0, (-2.0 + 3.0 * _S) / 225.0],
        [(296.0 + 169.0 * _S) / 1800.0, (88.0 + 7.0 * _S) / 360.0, (-2.0 - 3.0 * _S) / 225.0],
        [(16.0 - _S) / 36.0, (16.0 + _S) / 36.0, 1.0 / 9.0],
    ]
)
# slopes at the nodes, times the step, are SLOPE @ (values at the nodes) - FROM_START * (value at the start)
SLOPE = np.linalg.inv(MATRIX)
FROM_START = SLOPE.sum(1)
