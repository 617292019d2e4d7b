"""The harness's parts by themselves: changelog, reading of output, protected paths, configuration, hook, timeline."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.errors import HarnessError
from harness.output import Reader, Reading, Redactor, classify, without_secrets
from toy_repository import FILES, ROOT, git

from harness import changelog, config

LOG = FILES["CHANGELOG.md"]


# -- changelog ---------------------------------------------------------------------------------------------------------


def test_this_repositorys_changelog_and_brief_have_the_form():
    assert changelog.problems((ROOT / "CHANGELOG.md").read_text()) == []
    assert len((ROOT / "CLAUDE.md").read_text().splitlines()) < 150


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("## Next steps", "## Plans", '"## Next steps" must stand exactly once'),
        ("- More terms.\n", "", "is empty"),
        ("## Tried", "## 1.0 (soon)\n\n## Tried", "is no release"),
        ("|---|---|---|", "|---|---|---|\n| sine | about 3 | `abcdef1` |", "columns metric, value, commit"),
        ("<!-- status: end -->", "", "status table must stand once"),
        ("and failed\n", "and failed\n- `abcdef1` more terms\n", "lacks commit or figure"),
        ("and failed\n", "and failed\n- more terms: 3e-4\n", "lacks commit or figure"),
        ("and failed\n", "and failed\n## 1.0.0 (unreleased)\n", "the order is"),
    ],
)
def test_the_checker_finds(old, new, words):
    assert changelog.problems(LOG) == []
    assert any(words in problem for problem in changelog.problems(LOG.replace(old, new)))


def test_entries_are_only_added():
    one = changelog.with_failure(LOG, "abcdef1234567", "faster\n`steps`", "sine 1e-3 -> 2e-3")
    two = changelog.with_failure(one, "1234567abcdef", "slower", "sine 3e-3")
    assert changelog.problems(two, one) == [] == changelog.problems(one, LOG)
    assert "lacks" in changelog.problems(one, two)[0]
    swapped = LOG + "\n".join(reversed(changelog.entries(two.split("failed\n")[1].splitlines()))) + "\n"
    assert "at its end" in changelog.problems(swapped, one)[0]


def test_a_row_keeps_its_commit_until_its_value_changes():
    first = changelog.with_status(LOG, {"a": 1e-3, "b": 2e-3}, "1111111aaaa")
    second = changelog.with_status(first, {"a": 1.001e-3, "b": 1e-3}, "2222222bbbb")
    assert "| a | 1.0e-03 | `1111111aa` |" in second and "| b | 1.0e-03 | `2222222bb` |" in second
    assert changelog.problems(second) == []
    assert changelog.problems(second, first) == [
        "the status table was edited: the harness writes it, from measurements"
    ]


# -- output ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "promised"),
    [
        ("all done\n<promise>DONE</promise>\n", True),
        ("  <promise>DONE</promise>\r\n", True),
        ("<promise>DONE</promise>.\n", False),
        ("I will print <promise>DONE</promise>\n", False),
        ("<promise>done</promise>\n", False),
        ("> <promise>DONE</promise>\n", False),
        ('{"type":"result","result":"fine\\n<promise>DONE</promise>"}\n', True),
        ('{"type":"result","result":"I print <promise>DONE</promise>"}\n', False),
        ('{"type":"assistant","message":{"content":[{"type":"text","text":"<promise>DONE</promise>"}]}}\n', True),
        ('{"type":"user","message":{"content":[{"type":"text","text":"<promise>DONE</promise>"}]}}\n', False),
    ],
)
def test_promise(text, promised):
    reader = Reader("DONE")
    reader.lines(text.encode())
    assert reader.reading.promised is promised


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ((1, False, "", "API Error: 429 {...}", False), "rate-limited"),
        ((1, False, "", "HTTP 529 overloaded_error", False), "overloaded"),
        ((0, False, "", "Claude AI usage limit reached|1700000000", False), "rate-limited"),
        ((0, False, "", "the error at l = 429 fell", False), "no change"),
        ((0, False, "", "API Error: 429", True), "finished"),
        ((1, False, "", "Traceback", True), "crash"),
        ((-9, True, "", "", False), "timeout"),
        ((-15, False, "stopped", "", True), "stopped"),
    ],
)
def test_how_an_agent_ended(given, kind):
    code, timed_out, by, tail, changed = given
    assert classify(code, timed_out, by, Reading(), tail, changed) == kind


def test_secrets_are_replaced_wherever_they_stand():
    environment = {"MY_API_KEY": "swordfish-9", "MY_API_KEY_2": "swordfish-99", "HOME": "/home/me", "PATH": "/bin"}
    redactor = Redactor(environment)
    assert redactor.text("a swordfish-99 b swordfish-9 /home/me") == "a [MY_API_KEY_2] b [MY_API_KEY] /home/me"
    assert redactor.text("Authorization: Bearer abcdefghijklmnopqrstu") == "Authorization: Bearer [secret]"
    assert set(without_secrets(environment)) == {"HOME", "PATH"}


# -- configuration -----------------------------------------------------------------------------------------------------


def test_patterns():
    patterns = ("oracle/", "**/conftest.py", "harness.toml")
    hits = ("oracle/a/b.py", "conftest.py", "tests/x/conftest.py", "harness.toml")
    assert all(config.matches(path, patterns) for path in hits)
    assert not any(config.matches(path, patterns) for path in ("src/oracle.py", "oracle.py", "a/harness.toml"))


def test_noise():
    settings = config.parse(FILES["harness.toml"])
    assert not settings.worse("sine", 1.04e-3, 1e-3) and settings.worse("sine", 1.06e-3, 1e-3)
    assert settings.worse("sine", float("nan"), 1e-3) and not settings.worse("sine", 1.0, float("nan"))
    assert settings.better("sine", 0.9e-3, 1e-3) and not settings.better("sine", 0.98e-3, 1e-3)


def test_this_repositorys_configuration():
    settings = config.parse((ROOT / "harness.toml").read_text())
    for path in ("oracle/gate.py", "harness/judge.py", "harness.toml", "tests/reference/MANIFEST.json", "CLAUDE.md"):
        assert config.matches(path, settings.protected)
    assert config.matches("tests/test_solve.py", settings.add_only)
    assert not config.matches("src/boltzax/sources.py", settings.protected)
    assert all((ROOT / p.rstrip("/")).exists() for p in (*settings.judged, *settings.pythonpath))
    tests = [word for word in settings.commands["tests"] if word.startswith("tests/")]
    assert tests and all((ROOT / word).exists() for word in tests)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "not valid TOML"),
        ("[commands]\n", "gate is missing"),
        ('[commands]\ntests = "x"\ngate = []\nmetrics = []\nreport = []\n', "tests must be a list"),
        (FILES["harness.toml"].replace("unmoved", "unmowed"), "unmowed"),
    ],
)
def test_bad_configuration(text, words):
    with pytest.raises(HarnessError, match=words):
        config.parse(text)


# -- hook --------------------------------------------------------------------------------------------------------------


def hook(folder):
    environment = {**os.environ, "HARNESS_FOLDER": str(folder)}
    done = subprocess.run([sys.executable, ROOT / "harness/hook.py"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


def test_the_hook_carries_messages_once_and_stops(tmp_path):
    assert hook(tmp_path / "none") is None
    (tmp_path / "inbox" / "read").mkdir(parents=True)
    assert hook(tmp_path) is None
    (tmp_path / "inbox" / "1.txt").write_text("mind the sign\n")
    assert hook(tmp_path)["hookSpecificOutput"]["additionalContext"].endswith("mind the sign")
    assert hook(tmp_path) is None
    (tmp_path / "STOP").touch()
    assert hook(tmp_path)["continue"] is False


def test_the_hooks_settings_name_it():
    settings = json.loads((ROOT / "harness/claude-settings.json").read_text())
    [entry] = settings["hooks"]["PostToolUse"]
    path = entry["hooks"][0]["command"].split('"')[1].replace("$CLAUDE_PROJECT_DIR", str(ROOT))
    assert Path(path).is_file()


# -- timeline ----------------------------------------------------------------------------------------------------------


def test_timeline_measures_each_commit_once(toy):
    for terms, message in ((2, "Second term\n\nMilestone: two terms"), (3, "Third term"), (0, "Broken")):
        text = FILES["src/toy/model.py"].replace("TERMS = 1", f"TERMS = {terms}")
        (toy.top / "src/toy/model.py").write_text(text if terms else "raise SystemExit\n")
        git(toy.top, "commit", "-q", "-a", "-m", message)
    broken, third, second = git(toy.top, "log", "-3", "--format=%H").splitlines()
    arguments = ("timeline", "--every", "1", "--out", "out.png", "--json", "out.json")
    done = toy.harness(*arguments)
    assert done.returncode == 0, done.stderr
    points = json.loads((toy.top / "out.json").read_text())
    assert [p["commit"] for p in points] == [toy.base, second, third, broken]
    assert [p["label"] for p in points] == ["", "two terms", "", ""]
    values = [p["metrics"]["sine"] for p in points]
    assert values[0] > values[1] > values[2] and values[3] != values[3]
    assert (toy.top / "out.png").read_bytes().startswith(b"\x89PNG")
    scores = {f: f.stat().st_mtime_ns for f in (toy.folder / "scores").iterdir()}
    assert len(scores) == 4
    assert toy.harness(*arguments).returncode == 0
    assert scores == {f: f.stat().st_mtime_ns for f in (toy.folder / "scores").iterdir()}
    # another oracle measures again
    (toy.top / "oracle" / "score.py").write_text(FILES["oracle/score.py"].replace("16", "12"))
    git(toy.top, "commit", "-q", "-a", "-m", "Gentler oracle")
    assert toy.harness(*arguments).returncode == 0
    assert len(list((toy.folder / "scores").iterdir())) == 8


def test_the_status_table_is_written_from_a_measurement(toy):
    assert toy.harness("changelog", "--measure").returncode == 0
    assert f"| sine | 5.0e-01 | `{toy.base[:9]}` |" in (toy.top / "CHANGELOG.md").read_text()
    assert toy.harness("changelog", "--base", "HEAD").returncode == 1  # edited since


def test_timeline_refuses_bad_input(toy):
    for arguments, words in (
        (("--commits", "nonsense"), "nonsense is not a commit"),
        (("--metrics", "cosine"), "unknown metric cosine"),
        (("--out", "no/where.png"), "there is no folder"),
    ):
        done = toy.harness("timeline", *arguments)
        assert done.returncode == 2 and words in done.stderr
