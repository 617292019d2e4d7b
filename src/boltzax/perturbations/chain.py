"""Free streaming beyond the quadrupole in curved space: some multipoles one by one, exponentials beyond them.

The ladder of a hierarchy is F_l' = k [l s_l F_{l-1} - (l+1) s_{l+1} F_{l+1}] / (2l+1) - kappa' F_l with s_l of the
wavenumber (Lesgourgues & Tram 2014, arXiv:1312.2697). What is beyond l = LAST answers as in flat space, at the speed
s_{LAST+2} k and driven by s_{LAST+1} k F_LAST: exact again at l = LAST + 2, and approximate where K l^2 / k^2 is
small, for that many multipoles fill only when k tau ~ LAST. The functions are those of `tails.py`, for a tail of this
kind.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from boltzax.numerics.radau import FROM_START, SLOPE
from boltzax.numerics.small import apply, inverse
from boltzax.perturbations import tails
from boltzax.perturbations.layout import LAST, Group

_ELL = np.arange(3.0, LAST + 1.0)


class Tail(NamedTuple):
    """State: multipoles l = 3..LAST [l, rows, lanes], exponentials [2, modes, rows, lanes]."""

    multipoles: jnp.ndarray
    modes: jnp.ndarray


class Couplings(NamedTuple):
    """Coefficients times the step. up, down [l, 3, rows, lanes]: of F_{l-1} and -F_{l+1} in the slope of F_l; drive,
    speed [3, rows, lanes]: of the exponentials."""

    up: jnp.ndarray
    down: jnp.ndarray
    drive: jnp.ndarray
    speed: jnp.ndarray


class Response(NamedTuple):
    """Couplings, inverses [l, 3, 3, rows, lanes] of the multipoles with all above them, answer of the exponentials."""

    couplings: Couplings
    inverse: jnp.ndarray
    modes: tails.Response


def couplings(gk, s) -> Couplings:
    """gk: k dtau [3, rows, lanes]; s: s_l of l = 3..LAST+2 [l, lanes]."""
    wide = lambda v: v[:, None, None]
    ell = wide(_ELL)[..., None]
    return Couplings(
        ell / (2.0 * ell + 1.0) * wide(s[:-2]) * gk,
        (ell + 1.0) / (2.0 * ell + 1.0) * wide(s[1:-1]) * gk,
        s[-2] * gk,
        s[-1] * gk,
    )


def rest(group: Group, lanes: int) -> Tail:
    """A tail at zero."""
    rows = group.stop - group.start
    return Tail(jnp.zeros((len(_ELL), rows, lanes)), jnp.zeros((2, len(group.lam), rows, lanes)))


def respond(group: Group, gk, damping, s) -> Response:
    """Response of the tails of a group; gk, damping [3, rows, lanes] (times the step), s as in `couplings`."""
    c = couplings(gk, s)
    modes = tails.respond(group, c.speed, damping)
    diagonal = jnp.asarray(SLOPE)[:, :, None, None] + damping[:, None] * np.eye(3)[:, :, None, None]
    above, into, found = tails.echo(group, modes), c.drive, []
    for i in reversed(range(len(_ELL))):
        above = inverse(diagonal + c.down[i][:, None] * above * into)
        into = c.up[i]
        found.append(above)
    return Response(c, jnp.stack(found[::-1]), modes)


def echo(group: Group, r: Response):
    """F_3 at node i for a unit drive s_3 gk F_2 at node j, [3, 3, rows, lanes]."""
    return 3.0 / 7.0 * r.inverse[0]


def _sweep(r: Response, rhs, beyond, drive=None):
    """Multipoles at the nodes [l, 3, rows, lanes] for right-hand sides of that shape, beyond: F_{LAST+1} of its own."""
    own = [beyond]
    for i in reversed(range(len(_ELL))):
        own.append(apply(r.inverse[i], rhs[i] - r.couplings.down[i] * own[-1]))
    own = own[:0:-1]
    below = 0.0 if drive is None else 3.0 / 7.0 * drive
    out = []
    for i, v in enumerate(own):
        out.append(v + apply(r.inverse[i], below) if i or drive is not None else v)
        below = r.couplings.up[i + 1] * out[-1] if i + 1 < len(own) else None
    return jnp.stack(out)


def _start(w: Tail):
    return FROM_START[:, None, None] * w.multipoles[:, None]


def nodes(group: Group, r: Response, w: Tail, drive):
    """Multipoles at the nodes of a step that begins with w, driven by s_3 gk F_2 = drive [3, rows, lanes]."""
    return _sweep(r, _start(w), tails.free_f3(group, r.modes, w.modes), drive)


def free_f3(group: Group, r: Response, w: Tail):
    """F_3 at the nodes of tails that begin the step as w and are not driven."""
    beyond = tails.free_f3(group, r.modes, w.modes)
    for i in reversed(range(len(_ELL))):
        beyond = apply(r.inverse[i], _start(w)[i] - r.couplings.down[i] * beyond)
    return beyond


def at_node(group: Group, r: Response, node: int, w: Tail, drive) -> Tail:
    """The tail at a node of a step that begins with w, driven by s_3 gk F_2 = drive."""
    f = nodes(group, r, w, drive)
    return Tail(f[:, node], tails.at_node(group, r.modes, node, w.modes, r.couplings.drive * f[-1]))


def forcing(group: Group, r: Response, w: Tail, f2, drive, gk, s):
    """Linear map of (d gk, d damping, d s) to what they change: F_3 at the nodes, and the tail at the end of the
    step.
    """
    f = nodes(group, r, w, drive)
    at = [tails.at_node(group, r.modes, i, w.modes, r.couplings.drive * f[-1]) for i in range(3)]
    beyond = jnp.stack([tails.read_out(group, v) for v in at])
    below, above = jnp.concatenate([f2[None], f[:-1]]), jnp.concatenate([f[1:], beyond[None]])
    last = f[-1]
    directions = (
        [(-v[0], -v[1]) for v in at],
        [tails.streaming(group, v) for v in at],
        [(jnp.broadcast_to(last[i], v[0].shape), jnp.zeros_like(v[1])) for i, v in enumerate(at)],
    )
    shared = [tails.share(group, r.modes, v) for v in directions]

    def force(d_gk, d_damping, d_s):
        d = jax.jvp(couplings, (gk, s), (d_gk, d_s))[1]
        changes = (d_damping, d.speed, d.drive)
        moved = sum(tails.moved_f3(*v) for v in zip(shared, changes, strict=True))
        own = _sweep(r, d.up * below - d.down * above - d_damping * f, moved)
        end = sum(tails.moved_end(*v) for v in zip(shared, changes, strict=True))
        end = end + tails.at_node(group, r.modes, 2, jnp.zeros_like(end), r.couplings.drive * own[-1])
        return own[0], Tail(own[:, 2], end)

    return force
