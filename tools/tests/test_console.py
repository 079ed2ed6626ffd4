"""Steps: status, log, environment, time limit, sign of life."""

import sys

from tools import console
from tools.console import step


def run(code, **more):
    return step("test-of-console", "a step", [sys.executable, "-c", code], **more)


def test_step_keeps_both_outputs_in_its_log(capfd):
    done = run("import sys; print('one'); sys.stdout.flush(); print('two', file=sys.stderr)")
    assert done.ok
    assert done.text() == "one\ntwo\n"
    assert "done in" in capfd.readouterr().out


def test_step_that_fails_shows_the_end_of_its_log(capfd):
    done = run("print('\\n'.join(map(str, range(200)))); raise SystemExit(3)")
    assert done.status == 3
    shown = capfd.readouterr().out
    assert "FAILED (status 3)" in shown
    assert "| 199\n" in shown and "| 100\n" not in shown


def test_step_sees_variables_that_are_added_and_none_that_are_removed(monkeypatch):
    monkeypatch.setenv("GONE", "x")
    done = run("import os; print(os.environ.get('GONE'), os.environ['NEW'])", environment={"GONE": None, "NEW": "1"})
    assert done.text() == "None 1\n"


def test_step_that_takes_too_long_ends_with_all_that_it_started():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    assert not run(code, timeout=1).ok


def test_step_whose_program_is_missing_fails():
    assert step("test-of-console", "a step", ["/nonexistent/program"]).status == 127


def test_long_step_gives_a_sign_of_life(monkeypatch, capfd):
    monkeypatch.setattr(console, "HEARTBEAT", 0.2)
    done = run("import sys, time; print('compiling x', flush=True); sys.stdin.read(); time.sleep(3)")
    assert done.ok
    assert "a step, 1 s: compiling x" in capfd.readouterr().out
