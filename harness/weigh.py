"""Weighing what an agent did: a commit moves the branch forward or is refused, and a promise is put to the gate."""

import secrets
import time

from harness import changelog
from harness.judge import Check, Judge
from harness.ledger import Ledger
from harness.output import BUSY
from harness.state import append, rows


class Scales:
    """Decisions about commits, entered in the ledger."""

    def __init__(self, ledger: Ledger, judge: Judge):
        self.ledger, self.judge = ledger, judge
        # what an earlier process of this run measured; read before an agent of this one could write there
        self._measured = [row for row in rows(ledger.folder.metrics) if row.get("run") == ledger.state.run]

    def measure_start(self) -> None:
        """The metrics of the base revision, which every later one is compared with."""
        if self.ledger.state.code or not self.ledger.config.metrics:
            return
        self.ledger.tell("measuring the starting point")
        found = self._measure(self.ledger.state.last_good)
        self.ledger.save(
            code=self.judge.identity(self.ledger.state.last_good), baseline=found.data, metrics=found.data,
            best={name: value for name, value in found.data.items() if value == value},
        )  # fmt: skip
        if found.reason:
            self.ledger.tell(f"warning: {found.reason}")

    def _measure(self, commit: str) -> Check:
        """Metrics of a commit; a measurement that a killed process wrote in this iteration is not repeated."""
        here = {"run": self.ledger.state.run, "iteration": self.ledger.state.iteration, "commit": commit}
        for row in self._measured:
            if here.items() <= row.items():
                values = {name: float("nan") if v is None else v for name, v in row["metrics"].items()}
                return Check(not row["reason"], row["reason"], values)
        found = self.judge.metrics(commit, self.ledger.log("metrics"))
        row = {"time": time.strftime("%FT%TZ", time.gmtime()), **here, "metrics": found.data}
        append(self.ledger.folder.metrics, row | {"reason": found.reason, "seconds": round(found.seconds, 1)})
        return found

    def weigh(self) -> str:
        """Judge the candidate: advance to it, or refuse and say why."""
        st = self.ledger.state
        new = st.candidate
        if new == st.last_good:
            empty = st.exit in ("no change", "finished", "promise", "timeout")
            crashes = st.crashes + 1 if st.exit in ("crash", *BUSY) else 0
            self.ledger.save(empty=st.empty + empty, crashes=crashes, unmoved=st.unmoved + empty)
            return ""
        identity = self.judge.identity(new)
        refusal, found = self._faults(new, identity)
        if refusal:
            self._refuse(refusal, new, identity)
        else:
            self._advance(new, identity, found)
        return refusal.partition("\n")[0]

    def _faults(self, new: str, identity: str) -> tuple[str, Check | None]:
        """Why a commit cannot stand, or an empty string, and its metrics if they were measured and stand."""
        st = self.ledger.state
        if not self.ledger.repo.is_ancestor(st.last_good, new):
            return "the history was rewritten: commit on top of the last good commit", None
        if touched := self.judge.forbidden(st.last_good, new):
            listed = ", ".join(touched[:8]) + (f" and {len(touched) - 8} more" if len(touched) > 8 else "")
            return f"protected: commits touch {listed}", None
        before, after = (self.ledger.repo.read(c, changelog.FILE) for c in (st.last_good, new))
        if before is not None:
            found = changelog.problems(after or "", before)
            if found and not changelog.problems(before):
                return f"{changelog.FILE}: {'; '.join(found)}", None
        if identity == st.code:
            return "", None
        tests = self.judge.tests(new, self.ledger.log("tests"))
        self.ledger.event("tests", passed=tests.passed, seconds=round(tests.seconds, 1))
        if not tests.passed:
            return f"test failure:\n{tests.reason}", None
        if not self.ledger.config.metrics:
            return "", None
        found = self._measure(new)
        worse = [n for n, v in found.data.items() if n in st.best and self.ledger.config.worse(n, v, st.best[n])]
        if worse:
            figures = "; ".join(f"{n} {st.best[n]:.3g} -> {found.data[n]:.3g}" for n in worse)
            return f"regression: {figures}" + (f" ({found.reason})" if found.reason else ""), None
        return "", found

    def _refuse(self, refusal: str, new: str, identity: str) -> None:
        """Keep the attempt as a ref, stay at the last good commit, and tell the next prompt."""
        st = self.ledger.state
        ref = self.ledger.keep(new)
        again = identity in st.refused_trees
        st.feedback.append(
            f"Your commits were refused and the branch is back at {st.last_good[:12]}; the attempt is kept as `{ref}` "
            f"(`git diff {st.last_good[:12]} {ref}`). Reason: {refusal}"
        )
        kind = refusal.partition(":")[0]
        good = st.last_good
        if kind in ("regression", "test failure") and not again:
            good = self._note_failure(new, refusal)
        trees = st.refused_trees if again else [*st.refused_trees, identity]
        self.ledger.event("refused", commit=new, ref=ref, reason=refusal)
        self.ledger.save(
            refused_trees=trees, repeated=st.repeated + again, unmoved=st.unmoved + 1, empty=0, crashes=0,
            last_good=good, candidate=good,
        )  # fmt: skip

    def _note_failure(self, new: str, refusal: str) -> str:
        """Enter a refused attempt under "Tried and failed"; the new last good commit."""
        st = self.ledger.state
        text = self.ledger.repo.read(st.last_good, changelog.FILE)
        if text is None or changelog.problems(text):
            return st.last_good
        subjects = [row.partition(" ")[2] for row in self.ledger.repo.subjects(st.last_good, new)[-3:]]
        what = "; ".join(filter(None, subjects)) or "a change without a message"
        lines = refusal.splitlines()
        figure = lines[0].partition(": ")[2] if len(lines) == 1 else f"at least 1 quick test fails; {lines[-1][:120]}"
        text = changelog.with_failure(text, new, what, figure)
        return self.ledger.repo.commit_file(st.last_good, changelog.FILE, text, f"Tried and failed: {what[:60]}")

    def _advance(self, new: str, identity: str, found: Check | None) -> None:
        """Make a good commit the last good one, with its measurements in the status table."""
        st = self.ledger.state
        metrics = found.data if found else st.metrics
        moved = any(n not in st.best or self.ledger.config.better(n, v, st.best[n]) for n, v in metrics.items())
        best = st.best | {n: min(v, st.best.get(n, v)) for n, v in metrics.items() if v == v}
        good, text = new, self.ledger.repo.read(new, changelog.FILE)
        if found and text is not None and not changelog.problems(text):
            table = changelog.with_status(text, metrics, new)
            if table != text:
                good = self.ledger.repo.commit_file(new, changelog.FILE, table, "Current status, measured")
        self.ledger.event("advanced", commit=new, last_good=good, metrics=metrics, moved=moved)
        self.ledger.save(
            last_good=good, candidate=good, code=identity, metrics=metrics, best=best, empty=0, repeated=0, crashes=0,
            unmoved=0 if moved else st.unmoved + 1, reviewed=st.reviewed and not moved,
        )  # fmt: skip

    def hear(self) -> str:
        """Ask the gate, at points drawn now; why it refuses, or an empty string."""
        seed = secrets.randbelow(2**31)
        self.ledger.tell(f"promise made; the gate decides at points of seed {seed}")
        check = self.judge.gate(self.ledger.state.last_good, seed, self.ledger.log("gate"))
        self.ledger.save(gate=check.data)
        self.ledger.event("gate", passed=check.passed, seed=seed, reason=check.reason, seconds=round(check.seconds, 1))
        return check.reason
