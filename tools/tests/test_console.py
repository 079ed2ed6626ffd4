"""Steps: status, log, environment, time limit, sign of life."""

import re
import subprocess
import sys
import time
from pathlib import Path

from tools import console
from tools.console import step
from tools.paths import ROOT


def run(code, **more):
    return step("test-of-console", "a step", [sys.executable, "-c", code], **more)


def wait_for_end(pid):
    """Returns once the process has ended; nobody may have read its status yet."""
    while True:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.05)


def test_step_keeps_both_outputs_in_its_log(capfd):
    done = run("import sys; print('one'); sys.stdout.flush(); print('two', file=sys.stderr)")
    assert done.ok
    assert done.text() == "one\ntwo\n"
    assert "done in" in capfd.readouterr().out


def test_step_says_how_much_cpu_it_and_its_children_took(capfd):
    busy = "import time\nwhile time.process_time() < 1.5: pass"
    assert run(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])").ok
    assert re.search(r"done in \d+ s, [2-9] s of CPU\n", capfd.readouterr().out)


def test_step_that_fails_shows_the_end_of_its_log(capfd):
    done = run("print('\\n'.join(map(str, range(200)))); raise SystemExit(3)")
    assert done.status == 3
    shown = capfd.readouterr().out
    assert "FAILED (status 3)" in shown
    assert "| 199\n" in shown and "| 100\n" not in shown


def test_step_that_must_fail_is_wrong_if_it_does_not(capfd):
    assert run("raise SystemExit(3)", expected=3).ok
    assert "FAILED" not in capfd.readouterr().out
    assert not run("", expected=3).ok


def test_step_sees_variables_that_are_added_and_none_that_are_removed(monkeypatch):
    monkeypatch.setenv("GONE", "x")
    done = run("import os; print(os.environ.get('GONE'), os.environ['NEW'])", environment={"GONE": None, "NEW": "1"})
    assert done.text() == "None 1\n"


def test_step_that_takes_too_long_ends_with_all_that_it_started():
    sleep = "[sys.executable, '-c', 'import time; time.sleep(600)']"
    start = f"p = subprocess.Popen({sleep}, start_new_session=True)"
    code = f"import subprocess, sys; {start}; print(p.pid, flush=True); p.wait()"
    done = run(code, timeout=2)
    assert not done.ok
    wait_for_end(int(done.text()))


def test_step_that_is_interrupted_ends_with_all_that_it_started(tmp_path):
    """As by SIGTERM, which the command line turns into an exception in the main thread."""
    pids = tmp_path / "pids"
    sleep = "import os, time; open({!r}, 'a').write(str(os.getpid()) + ' '); time.sleep(600)"
    inner = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep.format(str(pids))!r}]).wait()"
    code = f"""
import os, signal, sys
from tools import __main__, console
signal.signal(signal.SIGTERM, __main__._interrupted)
console.step('test-of-interruption', 'a step', [sys.executable, '-c', {inner!r}])
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not (pids.exists() and pids.read_text().endswith(" ")):
        time.sleep(0.05)
    process.terminate()
    assert process.wait() != 0
    wait_for_end(int(pids.read_text()))


def test_step_whose_program_is_missing_fails():
    assert step("test-of-console", "a step", ["/nonexistent/program"]).status == 127


def test_long_step_gives_a_sign_of_life(monkeypatch, capfd):
    monkeypatch.setattr(console, "HEARTBEAT", 0.2)
    done = run("import sys, time; print('compiling x', flush=True); sys.stdin.read(); time.sleep(3)")
    assert done.ok
    assert "a step, 1 s: compiling x" in capfd.readouterr().out
