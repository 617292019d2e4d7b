"""Reading what an agent prints: secrets taken out, the promise, reported cost, and why it ended as it did."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

BUSY = ("rate-limited", "overloaded")  # ends of an agent that are worth waiting for

_SECRET_NAME = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    rb"\bsk-[A-Za-z0-9_-]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bAKIA[0-9A-Z]{16}\b"
    rb"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{16,}|\bhf_[A-Za-z0-9]{20,}|\bAIza[0-9A-Za-z_-]{30,}"
)
_ANSWER = r"\b(?:API error|HTTP(?:/[\d.]+)?|status(?: code)?|error(?: code)?)\W{0,4}"
_RATE = re.compile(
    _ANSWER + r"429\b|rate_limit_error|rate limit(?:ed| reached| exceeded)|too many requests|usage limit reached",
    re.IGNORECASE,
)
_OVERLOAD = re.compile(_ANSWER + r"5(?:29|03)\b|overloaded_error", re.IGNORECASE)


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without the variables whose names speak of a secret: for everything but the agent."""
    return {name: value for name, value in environment.items() if not _SECRET_NAME.search(name)}


class Redactor:
    """Replaces the values of secret environment variables, and what looks like a key, by a mark."""

    def __init__(self, environment: Mapping[str, str] | None = None):
        named = (os.environ if environment is None else environment).items()
        secrets = {v.encode(): n for n, v in named if _SECRET_NAME.search(n) and len(v) >= 8 and not v.isdigit()}
        self._names = secrets
        longest_first = sorted(secrets, key=len, reverse=True)
        self._values = re.compile(b"|".join(map(re.escape, longest_first))) if secrets else None

    def bytes(self, data: bytes) -> bytes:
        """Output without secrets."""
        if self._values is not None:
            data = self._values.sub(lambda m: f"[{self._names[m[0]]}]".encode(), data)
        return _SECRET_TEXT.sub(b"[secret]", data)

    def text(self, data: str) -> str:
        """The same of a string."""
        return self.bytes(data.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")


def promise_tag(promise: str) -> str:
    """What the agent prints, on a line of its own, when it holds the work to be done."""
    return f"<promise>{promise}</promise>"


@dataclass
class Reading:
    """What the output said."""

    promised: bool = False
    usd: float = 0.0
    tokens: int = 0
    reported: bool = False  # whether cost or tokens were given
    failed: bool = False  # the agent's own report calls its run an error


class Reader:
    """Takes complete lines of output, plain or JSON (`claude -p --output-format json` and `stream-json`)."""

    def __init__(self, promise: str):
        self._tag = promise_tag(promise)
        self.reading = Reading()

    def lines(self, data: bytes) -> None:
        """Read a block of whole lines."""
        if self._tag.encode() not in data and b'"type"' not in data:
            return
        for raw in data.splitlines():
            line = raw.decode("utf-8", "replace").strip()
            if line == self._tag:
                self.reading.promised = True
            elif line.startswith("{") and '"type"' in line:
                self._json(line)

    def _json(self, line: str) -> None:
        try:
            message = json.loads(line)
        except json.JSONDecodeError:
            return
        kind = message.get("type")
        if kind == "assistant":
            content = (message.get("message") or {}).get("content") or []
            text = "\n".join(part.get("text") or "" for part in content if isinstance(part, dict))
        elif kind == "result":
            text = str(message.get("result") or "")
            self._usage(message)
        else:
            return
        if any(part.strip() == self._tag for part in text.splitlines()):
            self.reading.promised = True

    def _usage(self, message: dict) -> None:
        usage = message.get("usage") or {}
        names = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        try:
            self.reading.usd += float(message.get("total_cost_usd") or 0.0)
            self.reading.tokens += sum(int(usage.get(name) or 0) for name in names)
        except (TypeError, ValueError):
            return
        self.reading.reported |= "total_cost_usd" in message or bool(usage)
        self.reading.failed |= bool(message.get("is_error"))


def classify(code: int, timed_out: bool, ended_by: str, reading: Reading, tail: str, changed: bool) -> str:
    """How an agent ended: interrupted, stopped, timeout, promise, rate-limited, overloaded, crash, no change, finished.

    A message of a busy service counts only where the agent failed or did nothing: 429 is also a multipole.
    """
    if ended_by:
        return ended_by
    if timed_out:
        return "timeout"
    if not changed and (code or reading.failed or not reading.promised):
        if _RATE.search(tail):
            return "rate-limited"
        if _OVERLOAD.search(tail):
            return "overloaded"
    if code:
        return "crash"
    if reading.promised:
        return "promise"
    return "finished" if changed else "no change"
