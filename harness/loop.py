"""The loop: an agent, a judgement, a step forward or back, until the gate agrees or a budget ends.

Every step ends with a saved state from which the next harness process goes on; see `State.phase`.
"""

import os
import secrets
import shlex
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import changelog, prompt, steer
from harness.config import Config
from harness.errors import Exit, Interrupted
from harness.judge import Check, Judge
from harness.output import Redactor, classify
from harness.process import Ended, end_marked, run
from harness.repo import Repo
from harness.state import Folder, State, append, rows

BUSY = ("rate-limited", "overloaded")
MAX_BUSY = 12  # waits in a row for a busy service
MAX_CRASHES = 5  # in a row, without a commit
LONGEST_WAIT = 3600.0


@dataclass(frozen=True)
class Options:
    """What a process of the harness is given, beside what the state holds."""

    agent: str
    iteration_timeout: float  # seconds
    backoff: float = 60.0  # seconds before the first repetition, then twice as long each time


class Loop:
    """One process's work on a run."""

    def __init__(self, repo: Repo, folder: Folder, config: Config, state: State, options: Options):
        self.repo, self.folder, self.config, self.state, self.options = repo, folder, config, state, options
        self.redactor = Redactor()
        self.logs = folder.logs / state.run
        self.logs.mkdir(parents=True, exist_ok=True)
        self.signal = 0
        self._last_tick = self._last_save = time.monotonic()
        self.judge = Judge(
            repo, folder, config, state.base, tuple(state.allow), state.criterion, self.redactor, self._watch_check
        )

    # -- bookkeeping ---------------------------------------------------------------------------------------------------

    def save(self, **changes: Any) -> None:
        """Apply changes to the state and write it."""
        for name, value in changes.items():
            setattr(self.state, name, value)
        self._tick()
        self.state.save(self.folder.state)

    def event(self, event: str, **facts: Any) -> None:
        """A line of events.jsonl."""
        row = {"time": time.strftime("%FT%TZ", time.gmtime()), "run": self.state.run, "event": event}
        row |= {"iteration": self.state.iteration}
        append(self.folder.events, row | {k: self._clean(v) for k, v in facts.items()})

    def _clean(self, value: Any) -> Any:
        return self.redactor.text(value) if isinstance(value, str) else value

    def tell(self, text: str) -> None:
        """A line for the terminal."""
        print(f"[harness {time.strftime('%T')}] {self.redactor.text(text)}", flush=True)

    def _tick(self) -> None:
        now = time.monotonic()
        self.state.used.seconds += now - self._last_tick
        self._last_tick = now

    def _watch(self) -> str:
        self._tick()
        if time.monotonic() - self._last_save > 2.0:
            self._last_save = time.monotonic()
            self.state.save(self.folder.state)
        return "interrupted" if self.signal else ""

    def _watch_check(self) -> str:
        return self._watch()

    def _watch_agent(self) -> str:
        if self.folder.stop.exists() and self.folder.stop.read_text() == "now":
            return "stopped"
        return self._watch()

    def _wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Wait, ended early by a signal (raises Interrupted), a stop, or `until`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until() and not self.folder.stop.exists():
            if self._watch():
                raise Interrupted
            time.sleep(min(0.2, seconds))

    def _log(self, name: str) -> Path:
        return self.logs / f"{self.state.iteration:04d}-{name}.log"

    # -- the run -------------------------------------------------------------------------------------------------------

    def run(self) -> Exit:
        """Work until the run ends, or a signal asks to leave."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, lambda n, _: setattr(self, "signal", n))
        for step in ("agent", *self.config.commands):
            end_marked(f"{self.folder.root}:{step}")  # left by a harness that was killed
        job = {name: os.environ.get(f"SLURM_{name}") for name in ("JOB_ID", "RESTART_COUNT")}
        self.event("start", phase=self.state.phase, agent=self.options.agent, slurm=job)
        try:
            if self.state.phase == "agent":
                self._agent_ended("interrupted", promised=False)
            if self.state.phase != "judge":
                self._measure_start()
            while True:
                if self.state.phase == "judge":
                    self._judge()
                if self.state.phase != "finished" and (end := self._limit()):
                    self._finish(*end)
                if self.state.phase == "finished":
                    return self._summary()
                self._pause()
                self._begin()
                self._agent()
        except Interrupted:
            self._tick()
            self.save()
            self.event("interrupted", signal=self.signal)
            self.tell("saved; run the same command again to continue")
            return Exit.INTERRUPTED

    def _pause(self) -> None:
        if self.folder.pause.exists():
            self.event("paused")
            self.tell("paused; `python -m harness resume` continues")
            while self.folder.pause.exists() and not self.folder.stop.exists():
                if self.signal:
                    raise Interrupted
                time.sleep(0.2)
            self._last_tick = time.monotonic()  # a pause costs no budget
            self.event("resumed")

    def _measure_start(self) -> None:
        """The metrics of the base revision, which every later one is compared with."""
        if self.state.code or not self.config.metrics:
            return
        self.tell("measuring the starting point")
        found = self._measure(self.state.last_good)
        self.save(
            code=self.judge.identity(self.state.last_good), baseline=found.data, metrics=found.data,
            best={name: value for name, value in found.data.items() if value == value},
        )  # fmt: skip
        if found.reason:
            self.tell(f"warning: {found.reason}")

    def _measure(self, commit: str) -> Check:
        """Metrics of a commit; a measurement that this iteration already wrote is not repeated."""
        here = {"run": self.state.run, "iteration": self.state.iteration, "commit": commit}
        for row in rows(self.folder.metrics):
            if here.items() <= row.items():
                values = {name: float("nan") if v is None else v for name, v in row["metrics"].items()}
                return Check(not row["reason"], row["reason"], values)
        found = self.judge.metrics(commit, self._log("metrics"))
        row = {"time": time.strftime("%FT%TZ", time.gmtime()), **here, "metrics": found.data}
        append(self.folder.metrics, row | {"reason": found.reason, "seconds": round(found.seconds, 1)})
        return found

    def _limit(self) -> tuple[str, Exit] | None:
        """Why the run ends now, if it does."""
        if self.folder.stop.exists():
            self.folder.stop.unlink(missing_ok=True)
            return "stopped by request", Exit.STOPPED
        for name in ("iterations", "hours", "usd", "tokens"):
            if self.state.left(name) <= 0:
                return f"budget of {name} used up", Exit.BUDGET
        if self.state.crashes >= MAX_CRASHES:
            return f"the agent failed {MAX_CRASHES} times in a row", Exit.AGENT_FAILS
        return self._stalled()

    def _stalled(self) -> tuple[str, Exit] | None:
        st, limits = self.state, self.config.stall
        signs = [
            (st.unmoved >= limits.unmoved and bool(self.config.metrics), f"no metric moved in {st.unmoved} iterations"),
            (st.empty >= limits.empty, f"nothing committed in {st.empty} iterations"),
            (st.repeated >= limits.repeated, f"the same change was tried {st.repeated + 1} times"),
        ]
        reason = next((text for sign, text in signs if sign), "")
        if not reason:
            return None
        if st.reviewed:
            return f"stalled: {reason}, after a review", Exit.STALLED
        self.event("review", reason=reason)
        self.tell(f"stall: {reason}; asking for a review")
        self.save(reviewed=True, review_next=True, unmoved=0, empty=0, repeated=0)
        return None

    def _finish(self, outcome: str, code: Exit) -> None:
        self.save(phase="finished", outcome=f"{outcome} (exit code {int(code)})")
        self.event("end", outcome=outcome, code=int(code))

    def _summary(self) -> Exit:
        st = self.state
        code = Exit(int(st.outcome.rsplit(" ", 1)[1].rstrip(")")))
        used = st.used
        self.tell(f"{st.outcome}; {used.iterations} iterations, {used.seconds / 3600:.2f} h, {used.usd:.2f} USD")
        self.tell(f"result: git merge {st.branch}   (last good commit {st.last_good[:12]})")
        return code

    # -- an iteration --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        st = self.state
        self.repo.worktree(self.folder.worktree, st.branch, st.last_good)
        st.iteration += 1
        st.used.iterations += 1
        st.phase, st.candidate, st.exit, st.promised = "agent", "", "", False
        report = self.judge.report(st.last_good, self._log("report")) if st.review_next else ""
        files = steer.messages(self.folder)
        brief = self.repo.read(st.base, "CLAUDE.md")
        text = prompt.build(
            st, brief, self.config.protected, self.config.add_only, [f.read_text() for f in files], report
        )
        self._log("prompt").write_text(self.redactor.text(text))
        self._messages = files
        st.review_next = False
        self.save()
        self.event("iteration", messages=len(files), review=bool(report))
        limit = f" of {st.budget['iterations']:.0f}" if "iterations" in st.budget else ""
        self.tell(f"iteration {st.iteration}{limit}")

    def _agent(self) -> None:
        """Run the agent, again after a while where its service is busy, and note how it ended."""
        waits = 0
        while True:
            ended = self._start_agent()
            changed = self._head() != self.state.last_good or self.repo.uncommitted(self.folder.worktree) is not None
            kind = classify(ended.code, ended.timed_out, ended.ended_by, ended.reading, ended.tail, changed)
            if kind not in BUSY or waits >= MAX_BUSY or self.folder.stop.exists():
                break
            pause = min(self.options.backoff * 2**waits, LONGEST_WAIT)
            if pause / 3600 >= self.state.left("hours"):
                break
            self.event("busy", kind=kind, wait=pause)
            self.tell(f"agent {kind}; waiting {pause:.0f} s")
            self._wait(pause)
            waits += 1
        steer.delivered(self.folder, self._messages)
        if kind == "interrupted":
            raise Interrupted
        self._agent_ended(kind, promised=ended.reading.promised)

    def _start_agent(self) -> Ended:
        environment = {
            **os.environ, "HARNESS_FOLDER": str(self.folder.root), "HARNESS_ITERATION": str(self.state.iteration),
            "HARNESS_PROMPT": str(self._log("prompt")), "HARNESS_PROMISE": self.state.promise,
        }  # fmt: skip
        # the worktree's package, not one that is installed from elsewhere
        paths = [str(self.folder.worktree / p) for p in self.config.pythonpath]
        environment["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [environment.get("PYTHONPATH")])])
        timeout = min(self.options.iteration_timeout, max(self.state.left("hours") * 3600, 1.0))
        done = run(
            shlex.split(self.options.agent), self.folder.worktree, environment, self._log("agent"), timeout,
            self._watch_agent, self.redactor, f"{self.folder.root}:agent", self._log("prompt"), self.state.promise,
            terminal=True,
        )  # fmt: skip
        used, reading = self.state.used, done.reading
        used.usd += reading.usd
        used.tokens += reading.tokens
        used.reported |= reading.reported
        self.save()
        self.event("agent", code=done.code, seconds=round(done.seconds, 1), usd=reading.usd, tokens=reading.tokens)
        return done

    def _head(self) -> str:
        return self.repo.commit("HEAD", cwd=self.folder.worktree)

    def _agent_ended(self, kind: str, promised: bool) -> None:
        """Take up what the agent left: its last commit, and beside it what it did not commit, as a ref."""
        st = self.state
        head, left = self._head(), self.repo.uncommitted(self.folder.worktree)
        self.save(feedback=[])
        if left:
            ref = self._keep(left, "uncommitted")
            st.feedback.append(f"Changes that you did not commit are not on the branch; they are kept as `{ref}`.")
        if kind == "interrupted":
            st.used.iterations -= 1  # cut short by the harness's own end: costs no iteration
        if kind == "timeout":
            minutes = self.options.iteration_timeout / 60
            st.feedback.append(f"You were ended after {minutes:.0f} minutes: take smaller steps.")
        self.save(candidate=head, exit=kind, promised=promised, phase="judge")
        self.tell(f"agent: {kind}, {len(self.repo.subjects(st.last_good, head))} commits")

    def _keep(self, commit: str, what: str = "") -> str:
        ref = f"refs/harness/{self.state.run}/{self.state.iteration:04d}" + (f"-{what}" if what else "")
        self.repo.set_ref(ref, commit)
        return ref

    # -- judgement -----------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        """Move the branch forward or leave it, then hear the promise; ends in phase idle or finished."""
        st = self.state
        changed = st.candidate != st.last_good
        refusal = self._weigh()
        verdict = f"{st.exit}; {refusal or 'good'}" if changed else st.exit
        if st.promised:
            answer = f"it was not heard, because the attempt was refused: {refusal}" if refusal else self._hear()
            if not answer:
                self._record(f"{verdict}; promise accepted")
                self._finish("accepted: the gate agrees that the criterion holds", Exit.ACCEPTED)
                return
            verdict += "; promise refused"
            st.feedback.append(f'Your promise "{st.promise}" was refused: {answer}')
        self._record(verdict)
        self.save(phase="idle")
        if st.exit == "crash" and st.crashes < MAX_CRASHES:
            self._wait(min(self.options.backoff * 2 ** (st.crashes - 1), LONGEST_WAIT) if st.crashes else 0.0)

    def _record(self, verdict: str) -> None:
        line = verdict.splitlines()[0]
        self.repo.worktree(self.folder.worktree, self.state.branch, self.state.last_good)
        self.save(verdict=line)
        self.event("judged", verdict=line, exit=self.state.exit, last_good=self.state.last_good)
        self.tell(f"verdict: {line}")

    def _weigh(self) -> str:
        """Judge the candidate: advance to it, or refuse and say why."""
        st = self.state
        new = st.candidate
        if new == st.last_good:
            empty = st.exit in ("no change", "finished", "promise", "timeout")
            crashes = st.crashes + 1 if st.exit in ("crash", *BUSY) else 0
            self.save(empty=st.empty + empty, crashes=crashes, unmoved=st.unmoved + empty)
            return ""
        identity = self.judge.identity(new)
        refusal, found = self._faults(new, identity)
        if refusal:
            self._refuse(refusal, new, identity, found)
        else:
            self._advance(new, identity, found)
        return refusal.partition("\n")[0]

    def _faults(self, new: str, identity: str) -> tuple[str, Check | None]:
        """Why a commit cannot stand, or an empty string, and its metrics where they were measured."""
        st = self.state
        if not self.repo.is_ancestor(st.last_good, new):
            return "the history was rewritten: commit on top of the last good commit", None
        if touched := self.judge.forbidden(st.last_good, new):
            listed = ", ".join(touched[:8]) + (f" and {len(touched) - 8} more" if len(touched) > 8 else "")
            return f"protected: commits touch {listed}", None
        before, after = (self.repo.read(c, changelog.FILE) for c in (st.last_good, new))
        if before is not None:
            found = changelog.problems(after or "", before)
            if found and not changelog.problems(before):
                return f"{changelog.FILE}: {'; '.join(found)}", None
        if identity == st.code:
            return "", None
        tests = self.judge.tests(new, self._log("tests"))
        self.event("tests", passed=tests.passed, seconds=round(tests.seconds, 1))
        if not tests.passed:
            return f"test failure:\n{tests.reason}", None
        if not self.config.metrics:
            return "", None
        found = self._measure(new)
        worse = [n for n, v in found.data.items() if n in st.best and self.config.worse(n, v, st.best[n])]
        if worse:
            figures = "; ".join(f"{n} {st.best[n]:.3g} -> {found.data[n]:.3g}" for n in worse)
            return f"regression: {figures}" + (f"\n{found.reason}" if found.reason else ""), found
        return "", found

    def _refuse(self, refusal: str, new: str, identity: str, found: Check | None) -> None:
        """Keep the attempt as a ref, stay at the last good commit, and tell the next prompt."""
        st = self.state
        ref = self._keep(new)
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
        self.event("refused", commit=new, ref=ref, reason=refusal)
        self.save(
            refused_trees=trees, repeated=st.repeated + again, unmoved=st.unmoved + 1, empty=0, crashes=0,
            last_good=good, candidate=good,
        )  # fmt: skip

    def _note_failure(self, new: str, refusal: str) -> str:
        """Enter a refused attempt under "Tried and failed"; the new last good commit."""
        st = self.state
        text = self.repo.read(st.last_good, changelog.FILE)
        if text is None or changelog.problems(text):
            return st.last_good
        subjects = [row.partition(" ")[2] for row in self.repo.subjects(st.last_good, new)[-3:]]
        what = "; ".join(filter(None, subjects)) or "a change without a message"
        first = refusal.replace("\n", " ").partition(": ")
        figure = first[2] if first[0] == "regression" else f"1 or more tests fail ({first[2][-120:]})"
        text = changelog.with_failure(text, new, what, figure)
        return self.repo.commit_file(st.last_good, changelog.FILE, text, f"Tried and failed: {what[:60]}")

    def _advance(self, new: str, identity: str, found: Check | None) -> None:
        """Make a good commit the last good one, with its measurements in the status table."""
        st = self.state
        metrics = found.data if found else st.metrics
        moved = any(n not in st.best or self.config.better(n, v, st.best[n]) for n, v in metrics.items())
        best = {n: min(v, st.best.get(n, v)) for n, v in metrics.items() if v == v}
        good, text = new, self.repo.read(new, changelog.FILE)
        if found and text is not None and not changelog.problems(text):
            table = changelog.with_status(text, metrics, new)
            if table != text:
                good = self.repo.commit_file(new, changelog.FILE, table, "Current status, measured")
        self.event("advanced", commit=new, last_good=good, metrics=metrics, moved=moved)
        self.save(
            last_good=good, candidate=good, code=identity, metrics=metrics, best=best, empty=0, repeated=0, crashes=0,
            unmoved=0 if moved else st.unmoved + 1, reviewed=st.reviewed and not moved,
        )  # fmt: skip

    def _hear(self) -> str:
        """Ask the gate, at points drawn now; why it refuses, or an empty string."""
        seed = secrets.randbelow(2**31)
        self.tell(f"promise made; the gate decides at points of seed {seed}")
        check = self.judge.gate(self.state.last_good, seed, self._log("gate"))
        self.save(gate=check.data)
        self.event("gate", passed=check.passed, seed=seed, reason=check.reason, seconds=round(check.seconds, 1))
        return check.reason
