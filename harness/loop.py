"""The loop: an agent, a judgement, a step forward or back, until the gate agrees or a budget ends.

Every step ends with a saved state from which the next harness process goes on; see `State.phase`.
"""

import os
import shlex
import signal
import time
from dataclasses import dataclass

from harness import prompt, steer
from harness.errors import Exit, HarnessError, Interrupted
from harness.judge import Judge
from harness.ledger import Ledger
from harness.output import BUSY, classify
from harness.process import Ended, end_marked, run
from harness.weigh import Scales

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

    def __init__(self, ledger: Ledger, options: Options):
        self.ledger, self.options = ledger, options
        self.repo, self.folder, self.config, self.state = ledger.repo, ledger.folder, ledger.config, ledger.state
        state = self.state
        self.judge = Judge(
            self.repo, self.folder, self.config, state.base, tuple(state.allow), state.criterion, ledger.redactor,
            ledger.watch,
        )  # fmt: skip
        self.scales = Scales(ledger, self.judge)

    # -- the run -------------------------------------------------------------------------------------------------------

    def run(self) -> Exit:
        """Work until the run ends, or a signal asks to leave."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, lambda n, _: setattr(self.ledger, "signal", n))
        for step in ("agent", *self.config.commands):
            end_marked(f"{self.folder.root}:{step}")  # left by a harness that was killed
        job = {name: os.environ.get(f"SLURM_{name}") for name in ("JOB_ID", "RESTART_COUNT")}
        self.ledger.event("start", phase=self.state.phase, agent=self.options.agent, slurm=job)
        try:
            if self.state.phase == "agent":
                self._agent_ended("interrupted", promised=False)
            if self.state.phase != "judge":
                self.scales.measure_start()
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
            self.ledger.save()
            self.ledger.event("interrupted", signal=self.ledger.signal)
            self.ledger.tell("saved; run the same command again to continue")
            return Exit.INTERRUPTED

    def _pause(self) -> None:
        if self.folder.pause.exists():
            self.ledger.event("paused")
            self.ledger.tell("paused; `python -m harness resume` continues")
            while self.folder.pause.exists() and not self.folder.stop.exists():
                if self.ledger.signal:
                    raise Interrupted
                time.sleep(0.2)
            self.ledger.skip_time()  # a pause costs no budget
            self.ledger.event("resumed")

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
        self.ledger.event("review", reason=reason)
        self.ledger.tell(f"stall: {reason}; asking for a review")
        self.ledger.save(reviewed=True, review_next=True, unmoved=0, empty=0, repeated=0)
        return None

    def _finish(self, outcome: str, code: Exit) -> None:
        self.ledger.save(phase="finished", outcome=f"{outcome} (exit code {int(code)})")
        self.ledger.event("end", outcome=outcome, code=int(code))

    def _summary(self) -> Exit:
        st = self.state
        code = Exit(int(st.outcome.rsplit(" ", 1)[1].rstrip(")")))
        used = st.used
        self.ledger.tell(f"{st.outcome}; {used.iterations} iterations, {used.seconds / 3600:.2f} h, {used.usd:.2f} USD")
        self.ledger.tell(f"result: git merge {st.branch}   (last good commit {st.last_good[:12]})")
        return code

    # -- an iteration --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        st = self.state
        self.repo.worktree(self.folder.worktree, st.branch, st.last_good)
        st.iteration += 1
        st.used.iterations += 1
        st.phase, st.candidate, st.exit, st.promised = "agent", "", "", False
        report = self.judge.report(st.last_good, self.ledger.log("report")) if st.review_next else ""
        files = steer.messages(self.folder)
        brief = self.repo.read(st.base, "CLAUDE.md")
        text = prompt.build(
            st, brief, self.config.protected, self.config.add_only, [f.read_text() for f in files], report
        )
        self.ledger.log("prompt").write_text(self.ledger.redactor.text(text))
        self._messages = files
        st.review_next = False
        self.ledger.save()
        self.ledger.event("iteration", messages=len(files), review=bool(report))
        limit = f" of {st.budget['iterations']:.0f}" if "iterations" in st.budget else ""
        self.ledger.tell(f"iteration {st.iteration}{limit}")

    def _agent(self) -> None:
        """Run the agent, again after a while where its service is busy, and note how it ended."""
        waits = 0
        while True:
            ended = self._start_agent()
            changed = self._left() != (self.state.last_good, None)
            kind = classify(ended.code, ended.timed_out, ended.ended_by, ended.reading, ended.tail, changed)
            if kind not in BUSY or waits >= MAX_BUSY or self.folder.stop.exists():
                break
            pause = min(self.options.backoff * 2**waits, LONGEST_WAIT, 3600 * self.state.left("hours"))
            self.ledger.event("busy", kind=kind, wait=pause)
            self.ledger.tell(f"agent {kind}; waiting {pause:.0f} s")
            self.ledger.wait(pause)
            if self.state.left("hours") <= 0:
                break
            waits += 1
        if kind == "interrupted":
            raise Interrupted
        steer.delivered(self.folder, self._messages)
        self._agent_ended(kind, promised=ended.reading.promised)

    def _start_agent(self) -> Ended:
        environment = {
            **os.environ, "HARNESS_FOLDER": str(self.folder.root), "HARNESS_ITERATION": str(self.state.iteration),
            "HARNESS_PROMPT": str(self.ledger.log("prompt")), "HARNESS_PROMISE": self.state.promise,
        }  # fmt: skip
        # the worktree's package, not one that is installed from elsewhere
        paths = [str(self.folder.worktree / p) for p in self.config.pythonpath]
        environment["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [environment.get("PYTHONPATH")])])
        timeout = min(self.options.iteration_timeout, max(self.state.left("hours") * 3600, 1.0))
        command, log, prompt_file = shlex.split(self.options.agent), self.ledger.log("agent"), self.ledger.log("prompt")
        done = run(
            command, self.folder.worktree, environment, log, timeout, self._watch_agent, self.ledger.redactor,
            mark=f"{self.folder.root}:agent", stdin=prompt_file, promise=self.state.promise, terminal=True,
        )  # fmt: skip
        used, reading = self.state.used, done.reading
        used.usd += reading.usd
        used.tokens += reading.tokens
        used.reported |= reading.reported
        if not used.reported and {"usd", "tokens"} & set(self.state.budget):
            self.ledger.tell("warning: the agent reports no cost, which its budget needs; see docs/harness.md")
        self.ledger.save()
        self.ledger.event(
            "agent", code=done.code, seconds=round(done.seconds, 1), usd=reading.usd, tokens=reading.tokens
        )
        return done

    def _watch_agent(self) -> str:
        if self.folder.stop.exists() and self.folder.stop.read_text() == "now":
            return "stopped"
        return self.ledger.watch()

    def _left(self) -> tuple[str, str | None]:
        """The agent's last commit, and a commit of what it did not commit; of a broken worktree nothing."""
        try:
            if self.repo.intact(self.folder.worktree):
                return self.repo.commit("HEAD", cwd=self.folder.worktree), self.repo.uncommitted(self.folder.worktree)
        except HarnessError as error:
            self.ledger.tell(f"the agent left its worktree broken: {error}")
        return self.state.last_good, None

    def _agent_ended(self, kind: str, promised: bool) -> None:
        """Take up what the agent left: its last commit, and beside it what it did not commit, as a ref."""
        st = self.state
        head, left = self._left()
        self.ledger.save(feedback=[])
        if left:
            ref = self.ledger.keep(left, "uncommitted")
            st.feedback.append(f"Changes that you did not commit are not on the branch; they are kept as `{ref}`.")
        if kind == "interrupted":
            st.used.iterations -= 1  # cut short by the harness's own end: costs no iteration
        if kind == "timeout":
            minutes = self.options.iteration_timeout / 60
            st.feedback.append(f"You were ended after {minutes:.0f} minutes: take smaller steps.")
        self.ledger.save(candidate=head, exit=kind, promised=promised, phase="judge")
        self.ledger.tell(f"agent: {kind}, {len(self.repo.subjects(st.last_good, head))} commits")

    # -- judgement -----------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        """Move the branch forward or leave it, then hear the promise; ends in phase idle or finished."""
        st = self.state
        changed = st.candidate != st.last_good
        refusal = self.scales.weigh()
        verdict = f"{st.exit}; {refusal or 'good'}" if changed else st.exit
        if st.promised:
            answer = f"it was not heard, because the attempt was refused: {refusal}" if refusal else self.scales.hear()
            if not answer:
                self._record(f"{verdict}; promise accepted")
                self._finish("accepted: the gate agrees that the criterion holds", Exit.ACCEPTED)
                return
            verdict += "; promise refused"
            st.feedback.append(f'Your promise "{st.promise}" was refused: {answer}')
        self._record(verdict)
        self.ledger.save(phase="idle")
        if st.exit == "crash" and st.crashes < MAX_CRASHES:
            self.ledger.wait(min(self.options.backoff * 2 ** (st.crashes - 1), LONGEST_WAIT) if st.crashes else 0.0)

    def _record(self, verdict: str) -> None:
        line = verdict.splitlines()[0]
        self.repo.worktree(self.folder.worktree, self.state.branch, self.state.last_good)
        self.ledger.save(verdict=line)
        self.ledger.event("judged", verdict=line, exit=self.state.exit, last_good=self.state.last_good)
        self.ledger.tell(f"verdict: {line}")
