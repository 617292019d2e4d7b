"""Samples of a posterior: saved, read, summarised, and handed to getdist and arviz."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from boltzax.errors import ConflictingParametersError, LikelihoodDataError, MissingDependencyError
from boltzax.inference.model import LABELS

__all__ = ["Chain", "atomic_savez", "effective_size"]


def effective_size(weights: np.ndarray) -> float:
    """Kish's effective number of independent samples, (sum w)^2 / sum w^2."""
    weights = np.asarray(weights, dtype=float)
    return float(weights.sum() ** 2 / np.sum(weights**2)) if np.any(weights > 0.0) else 0.0


@dataclass
class Chain:
    """Weighted samples; every array has the shape [chains, draws].

    samples: values by parameter, sampled ones first; sampled: the names of those; log_posterior; weights (all one for
    a Markov chain); info: what the sampler says of each draw; bounds: hard limits by name.
    """

    samples: dict[str, np.ndarray]
    log_posterior: np.ndarray
    weights: np.ndarray
    sampled: tuple[str, ...]
    info: dict[str, np.ndarray] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    name: str = "posterior"

    @property
    def weighted(self) -> bool:
        """Whether the weights differ."""
        return bool(np.ptp(self.weights) > 0.0)

    def mean(self, name: str) -> float:
        """Posterior mean of a parameter."""
        return float(self._average(self.samples[name]))

    def std(self, name: str) -> float:
        """Posterior standard deviation of a parameter."""
        return float(np.sqrt(self._average((self.samples[name] - self.mean(name)) ** 2)))

    def _average(self, values: np.ndarray) -> float:
        """Over draws that have a weight; derived parameters of others, where the theory could not follow, are NaN."""
        counts = self.weights > 0.0
        return np.average(values[counts], weights=self.weights[counts])

    def diagnostics(self) -> dict[str, float]:
        """Effective sample size (the least over parameters for Markov chains), rank-normalised R-hat, divergences.

        Of importance samples: Kish's effective size and the share of the largest weight. Markov chains need arviz.
        """
        if self.weighted:
            share = float(self.weights.max() / self.weights.sum())
            return {"ess": effective_size(self.weights), "largest_weight": share}
        az = _import("arviz", "diagnostics of chains")
        data = {name: np.asarray(self.samples[name]) for name in self.sampled}
        ess = min(float(az.ess(values)) for values in data.values())
        rhat = max(float(az.rhat(values)) for values in data.values()) if self.weights.shape[1] >= 4 else np.nan
        out = {"ess": ess, "rhat": rhat}
        if "diverging" in self.info:
            out["divergences"] = float(np.sum(self.info["diverging"]))
        return out

    def summary(self) -> str:
        """Means and standard deviations as a table."""
        rows = [f"{name:<14} {self.mean(name): .6g} +- {self.std(name):.2g}" for name in self.samples]
        notes = ", ".join(f"{name} {value:.4g}" for name, value in self.diagnostics().items())
        return "\n".join([*rows, f"({notes})"])

    # -- other programs ----------------------------------------------------------------------------------------------

    def to_getdist(self) -> Any:
        """`getdist.MCSamples` of all parameters."""
        getdist = _import("getdist", "getdist samples")
        names = list(self.samples)
        counts = self.weights > 0.0
        parts = lambda values: [row[good] for row, good in zip(values, counts, strict=True)]
        return getdist.MCSamples(
            samples=[np.stack(rows, axis=-1) for rows in zip(*(parts(self.samples[n]) for n in names), strict=True)],
            weights=parts(self.weights),
            loglikes=parts(-self.log_posterior),
            names=[n if n in self.sampled else f"{n}*" for n in names],
            labels=[LABELS.get(n, n) for n in names],
            ranges={n: [None if np.isinf(v) else v for v in b] for n, b in self.bounds.items() if n in names},
            sampler="uncorrelated" if self.weighted else "mcmc",
            name_tag=self.name,
            ignore_rows=0,
        )

    def to_arviz(self, seed: int = 0) -> Any:
        """`arviz.InferenceData`; weighted samples are resampled to as many as their effective size."""
        az = _import("arviz", "arviz data")
        samples, logp = self.samples, self.log_posterior
        if self.weighted:
            p = self.weights.ravel() / self.weights.sum()
            draws = max(int(effective_size(self.weights)), 1)
            pick = np.random.default_rng(seed).choice(p.size, size=draws, p=p)
            samples = {n: v.ravel()[pick][None] for n, v in samples.items()}
            logp = logp.ravel()[pick][None]
        stats = {"lp": logp} | ({} if self.weighted else self.info)
        return az.from_dict(posterior=samples, sample_stats=stats, attrs={"inference_library": "boltzax"})

    # -- files -------------------------------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike) -> list[str]:
        """Writes chain.npz, getdist's text files (chain_1.txt, ..., .paramnames, .ranges) and, with arviz, chain.nc."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        about = {"sampled": self.sampled, "bounds": self.bounds, "name": self.name}
        arrays = {f"sample_{n}": v for n, v in self.samples.items()} | {f"info_{n}": v for n, v in self.info.items()}
        atomic_savez(
            folder / "chain.npz",
            log_posterior=self.log_posterior,
            weights=self.weights,
            about=json.dumps(about),
            **arrays,
        )
        files = ["chain.npz", *self._save_getdist(folder)]
        try:
            data = self.to_arviz()
        except MissingDependencyError:
            return files
        with _replacing(folder / "chain.nc") as temporary:
            data.to_netcdf(os.fspath(temporary))
        return [*files, "chain.nc"]

    def _save_getdist(self, folder: Path) -> list[str]:
        names = list(self.samples)
        texts = {
            "chain.paramnames": [f"{n if n in self.sampled else n + '*'}\t{LABELS.get(n, n)}" for n in names],
            "chain.ranges": [
                f"{n} " + " ".join("N" if np.isinf(v) else repr(float(v)) for v in b) for n, b in self.bounds.items()
            ],
        }
        for i, (weights, logp) in enumerate(zip(self.weights, self.log_posterior, strict=True)):
            columns = [weights, -logp, *(self.samples[n][i] for n in names)]
            rows = np.stack(columns, axis=-1)[weights > 0.0]
            texts[f"chain_{i + 1}.txt"] = [" ".join(f"{v:.10e}" for v in row) for row in rows]
        for name, lines in texts.items():
            with _replacing(folder / name) as temporary:
                temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return list(texts)

    @classmethod
    def load(cls, *folders: str | os.PathLike) -> "Chain":
        """What `save` wrote; of several folders, as an array of jobs fills them, all chains side by side.

        Raises LikelihoodDataError if a folder holds no chain, ConflictingParametersError for chains of different
        parameters or lengths, and for weighted samples, whose weights have no common scale.
        """
        chains = [cls._load(folder) for folder in folders]
        if len(chains) == 1:
            return chains[0]
        if len({(tuple(c.samples), c.sampled, tuple(c.info), c.weights.shape[1]) for c in chains}) != 1:
            raise ConflictingParametersError("the chains differ in their parameters or lengths")
        if any(c.weighted for c in chains):
            raise ConflictingParametersError("weighted samples cannot be joined: draw more in one folder")
        join = lambda parts: np.concatenate(list(parts))
        first = chains[0]
        return cls(
            {n: join(c.samples[n] for c in chains) for n in first.samples},
            join(c.log_posterior for c in chains), join(c.weights for c in chains), first.sampled,
            {n: join(c.info[n] for c in chains) for n in first.info}, first.bounds, first.name,
        )  # fmt: skip

    @classmethod
    def _load(cls, folder: str | os.PathLike) -> "Chain":
        path = Path(folder) / "chain.npz"
        try:
            with np.load(path) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError) as error:
            raise LikelihoodDataError(f"no chain can be read from '{path}': {error}") from error
        about = json.loads(str(arrays["about"]))
        part = lambda prefix: {n.removeprefix(prefix): v for n, v in arrays.items() if n.startswith(prefix)}
        bounds = {n: tuple(b) for n, b in about["bounds"].items()}
        return cls(
            part("sample_"), arrays["log_posterior"], arrays["weights"], tuple(about["sampled"]), part("info_"), bounds,
            about["name"],
        )  # fmt: skip


def from_draws(
    names: Sequence[str], x: np.ndarray, derived: Mapping[str, np.ndarray], log_posterior: np.ndarray, **others: Any
) -> Chain:
    """A Chain of draws x [chains, draws, n] and derived parameters, which give way to sampled ones of the same name."""
    samples = {name: x[..., i] for i, name in enumerate(names)}
    samples |= {name: value for name, value in derived.items() if name not in samples}
    weights = others.pop("weights", np.ones(x.shape[:2]))
    return Chain(samples, log_posterior, weights, tuple(names), **others)


def atomic_savez(path: Path, **arrays: Any) -> None:
    """numpy.savez by way of another file, so that the one named is never half-written."""
    with _replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """The name of a file beside `path` that takes its place at the end, or vanishes if an exception ends it."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _import(package: str, purpose: str) -> Any:
    try:
        return __import__(package)
    except ImportError as error:
        raise MissingDependencyError.from_package(package, "inference", purpose) from error
