"""How XLA compiles for CPUs.

XLA has two ways to make machine code of a fused kernel on a CPU. The one that is its default builds each kernel with
machinery of its own; with it a spectrum takes half as long again to compile, half as much memory again (gradients:
twice), and a quarter more time to run (measured with jax 0.10.2: docs/notes/2026-11-28-kernels.md).
"""

import os
from importlib.metadata import version

FLAG = "--xla_cpu_use_fusion_emitters"
#: releases of jaxlib that know the flag; others end the process when they meet one that they do not know
KNOWN = ("0.10.",)


def known() -> bool:
    """Whether the jaxlib that is installed knows the flag."""
    return version("jaxlib").startswith(KNOWN)


def choose_kernels() -> None:
    """Adds the choice to XLA_FLAGS, which XLA reads before its first program, unless the user has made it there."""
    flags = os.environ.get("XLA_FLAGS", "")
    if FLAG not in flags and known():
        os.environ["XLA_FLAGS"] = f"{flags} {FLAG}=false".strip()
