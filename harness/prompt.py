"""The prompt of an iteration: the repository's brief, the task, where things stand, and why the last attempt fell."""

from collections.abc import Sequence

from harness.output import promise_tag
from harness.state import State


def _rules(state: State, protected: Sequence[str], add_only: Sequence[str]) -> str:
    lines = [
        f"- You work in a git worktree on the branch `{state.branch}`. Only what you commit there is judged.",
        f"- Leave alone: {', '.join(f'`{p}`' for p in protected) or 'nothing'}. A commit that touches them is refused.",
    ]
    if add_only:
        lines.append(f"- Under {', '.join(f'`{p}`' for p in add_only)} add files; leave those that exist as they are.")
    if state.allow:
        lines.append(f"- Allowed for this task nevertheless: {', '.join(f'`{p}`' for p in state.allow)}.")
    lines += [
        "- After you end, quick tests and metrics run on your last commit. A failing test or a metric that became",
        "  worse takes the branch back to the last good commit.",
        f"- When, and only when, the criterion `{state.criterion}` holds, end your last message with the tag",
        f'  "{promise_tag(state.promise)}" alone on a line of its own. A gate outside your reach then draws new',
        "  points and decides.",
    ]
    return "\n".join(lines)


def _status(state: State) -> str:
    lines = [f"Iteration {state.iteration}. Last good commit: {state.last_good[:12]}."]
    if state.verdict:
        lines.append(f"Last verdict: {state.verdict}")
    left = [f"{state.left(k):.4g} {k}" for k in ("iterations", "hours", "usd", "tokens") if k in state.budget]
    if left:
        lines.append(f"Budget left: {', '.join(left)}.")
    if state.metrics:
        lines += ["", "| metric | at the start | best | now |", "|---|---|---|---|"]
        cell = lambda table, name: f"{table[name]:.3e}" if name in table else "-"
        lines += [
            f"| {name} | {cell(state.baseline, name)} | {cell(state.best, name)} | {value:.3e} |"
            for name, value in state.metrics.items()
        ]
    return "\n".join(lines)


_REVIEW = """The last iterations moved nothing. Before you write more code, review the approach: read the stage report
below and find the first stage whose error is larger than the criterion allows; read "Tried and failed" in CHANGELOG.md
and the refused attempts (`git for-each-ref refs/harness`); say what the attempts had in common and which assumption
none of them tested; then choose another one, and commit the smallest change that tests it. If the next iterations
move nothing either, the loop stops."""


def build(
    state: State, brief: str | None, protected: Sequence[str], add_only: Sequence[str], messages: Sequence[str],
    report: str = "",
) -> str:  # fmt: skip
    """The whole prompt. `report`: the stage report; with it the prompt asks for a review."""
    parts = [brief.strip()] if brief else []
    parts.append(f"# Task\n\n{state.task.strip()}")
    parts.append(f"# Rules of this loop\n\n{_rules(state, protected, add_only)}")
    parts.append(f"# Status\n\n{_status(state)}")
    if state.feedback:
        parts.append("# What became of the last attempt\n\n" + "\n\n".join(state.feedback))
    if messages:
        parts.append("# From the person who watches\n\n" + "\n\n".join(m.strip() for m in messages))
    if report:
        parts.append(f"# Review\n\n{_REVIEW}\n\n```\n{report.strip()}\n```")
    return "\n\n".join(parts) + "\n"
