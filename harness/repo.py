"""Git as the harness uses it: plumbing that ignores hooks, filters and replaced objects, which an agent could set up.

The agent shares the repository's object store, not the harness's trust: trees for the judge are written blob by blob
(`export`), so that neither attributes nor filters of the repository can change what is judged.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import HarnessError

_NEUTRAL = (
    *("--no-replace-objects", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", "commit.gpgsign=false", "-c", "gc.auto=0", "-c", "user.name=harness", "-c", "user.email=harness@localhost"),
)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


class Repo:
    """A git repository with a working tree."""

    def __init__(self, path: Path | str = "."):
        """Find the repository that holds `path`.

        Raises:
            HarnessError: there is none, it has no commit, or git is not installed.
        """
        if shutil.which("git") is None:
            raise HarnessError("git is not installed")
        found = self._run(["rev-parse", "--show-toplevel"], Path(path), check=False)
        if found.returncode:
            raise HarnessError(f"{Path(path).resolve()} is not in a git repository with a working tree: run `git init`")
        self.top = Path(found.stdout.decode().rstrip("\n"))
        common = self._run(["rev-parse", "--git-common-dir"], self.top).stdout.decode().rstrip("\n")
        self.common = (self.top / common).resolve()

    @staticmethod
    def _run(arguments, cwd, check=True, stdin=None, environment=None) -> subprocess.CompletedProcess:
        done = subprocess.run(
            ["git", *_NEUTRAL, *arguments], cwd=cwd, input=stdin, capture_output=True,
            env=_environment() | (environment or {}), start_new_session=True,
        )  # fmt: skip
        if check and done.returncode:
            message = done.stderr.decode(errors="replace").strip()
            raise HarnessError(f"git {' '.join(arguments[:3])} failed: {message}")
        return done

    def git(self, *arguments: str, cwd: Path | None = None, **more) -> str:
        """Standard output of a git command, without the last newline.

        Raises:
            HarnessError: git failed.
        """
        done = self._run(list(arguments), cwd or self.top, **more)
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    # -- reading -------------------------------------------------------------------------------------------------------

    def commit(self, name: str = "HEAD", cwd: Path | None = None) -> str:
        """The hash of a commit by any name of it.

        Raises:
            HarnessError: there is no such commit.
        """
        try:
            return self.git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}", cwd=cwd)
        except HarnessError:
            raise HarnessError(f"{name} is not a commit of {self.top}") from None

    def dirty(self) -> list[str]:
        """Changed and untracked files of the working tree, as `git status` prints them.

        Without the harness's own folder: a kill may have come before that was hidden from git.
        """
        return self.git("status", "--porcelain", "--", ".", ":(exclude).harness").splitlines()

    def read(self, commit: str, path: str) -> str | None:
        """The text of a file at a commit, or None."""
        done = self._run(["cat-file", "blob", f"{commit}:{path}"], self.top, check=False)
        return None if done.returncode else done.stdout.decode("utf-8", "replace")

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether the history of `new` holds `old`."""
        return self._run(["merge-base", "--is-ancestor", old, new], self.top, check=False).returncode == 0

    def files(self, commit: str) -> dict[str, tuple[str, str]]:
        """path -> (mode, blob) of every file at a commit."""
        out = {}
        for row in self.git("ls-tree", "-r", "-z", commit).split("\0"):
            if row:
                meta, path = row.split("\t", 1)
                mode, _, blob = meta.split(" ")
                out[path] = (mode, blob)
        return out

    def touched(self, old: str, new: str) -> set[str]:
        """Every path that a commit in old..new changes, changes undone later included."""
        out = set()
        for raw in (
            self.git("log", "--format=", "--name-only", "--no-renames", "-m", "-z", f"{old}..{new}"),
            self.git("diff-tree", "-r", "--name-only", "--no-renames", "-z", old, new),
        ):
            out.update(path.lstrip("\n") for path in raw.split("\0"))
        return out - {""}

    def subjects(self, old: str, new: str) -> list[str]:
        """Hash and subject of the commits in old..new, oldest first."""
        return self.git("log", "--reverse", "--format=%h %s", f"{old}..{new}").splitlines()

    def identity(self, commit: str, paths: tuple[str, ...]) -> str:
        """A name for the content of some paths at a commit: equal exactly if the content is."""
        done = [self._run(["rev-parse", f"{commit}:{p.rstrip('/')}"], self.top, check=False) for p in paths]
        return "-".join(d.stdout.decode().strip()[:16] if d.returncode == 0 else "none" for d in done)

    # -- writing -------------------------------------------------------------------------------------------------------

    def export(self, commit: str, folder: Path, wanted: Callable[[str], bool]) -> None:
        """Write the wanted regular files of a commit below a folder, byte for byte."""
        rows = [(path, mode, blob) for path, (mode, blob) in self.files(commit).items() if wanted(path)]
        rows = [row for row in rows if row[1] in ("100644", "100755")]
        for (path, mode, _), content in zip(rows, self._blobs([row[2] for row in rows]), strict=True):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            if mode == "100755":
                file.chmod(0o755)

    def _blobs(self, hashes: list[str]) -> Iterator[bytes]:
        raw = self._run(["cat-file", "--batch"], self.top, stdin="".join(f"{h}\n" for h in hashes).encode()).stdout
        at = 0
        for _ in hashes:
            end = raw.index(b"\n", at)
            size = int(raw[at:end].split(b" ")[2])
            yield raw[end + 1 : end + 1 + size]
            at = end + size + 2

    def set_ref(self, ref: str, commit: str) -> None:
        """Point a ref at a commit."""
        self.git("update-ref", ref, commit)

    def commit_file(self, parent: str, path: str, text: str, message: str) -> str:
        """A new commit on `parent` in which one file has a new text; moves nothing."""
        blob = self.git("hash-object", "-w", "--stdin", stdin=text.encode())
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            self.git("read-tree", parent, environment=index)
            self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", environment=index)
            tree = self.git("write-tree", environment=index)
        return self.git("commit-tree", tree, "-p", parent, "-m", message)

    def uncommitted(self, worktree: Path) -> str | None:
        """A commit of what a worktree holds beyond its HEAD, or None if that is nothing; moves nothing."""
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            self.git("read-tree", "HEAD", cwd=worktree, environment=index)
            self.git("add", "-A", cwd=worktree, environment=index)
            tree = self.git("write-tree", cwd=worktree, environment=index)
        head = self.commit("HEAD", cwd=worktree)
        if tree == self.git("rev-parse", f"{head}^{{tree}}"):
            return None
        return self.git("commit-tree", tree, "-p", head, "-m", "Left uncommitted")

    def intact(self, folder: Path) -> bool:
        """Whether a folder is a worktree of its own."""
        if not folder.is_dir():
            return False
        found = self._run(["rev-parse", "--show-toplevel"], folder, check=False)
        return found.returncode == 0 and Path(found.stdout.decode().rstrip("\n")) == folder.resolve()

    def worktree(self, folder: Path, branch: str, commit: str) -> None:
        """Put a worktree of `branch`, clean and at `commit`, into a folder; what it held before is gone."""
        if not self.intact(folder):
            shutil.rmtree(folder, ignore_errors=True)
            self.git("worktree", "prune")
            self.git("worktree", "add", "-q", "-f", "--detach", str(folder), commit)
        for lock in ("index.lock", "HEAD.lock"):  # left by a git that was killed
            Path(self.git("rev-parse", "--git-path", lock, cwd=folder)).unlink(missing_ok=True)
        self.git("checkout", "-q", "-f", "--detach", commit, cwd=folder)
        self.set_ref(f"refs/heads/{branch}", commit)
        self.git("symbolic-ref", "HEAD", f"refs/heads/{branch}", cwd=folder)
        self.git("clean", "-q", "-f", "-d", cwd=folder)
