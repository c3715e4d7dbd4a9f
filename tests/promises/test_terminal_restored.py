"""The terminal is always restored and the exit status right, whatever ends the program, and whenever."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from processes_support import runs
from slow_disk import SlowDisk
from support import Cases, tiny
from terminal_support import ANSWER, Terminal, left_on, resnet_tui

from engine.config_file import to_toml
from engine.run_dir import RunDir, iterate

MODES = ("interactive", "watch", "headless")
PHASES = ("starting", "running", "saving")
ENDINGS = ("INT", "TERM", "HUP", "KILL", "SEGV", "exception")
SECRET = "what-a-variable-holds"
FAILING = f"""
import signal, sys

def fail(*_, **__):
    kept = {SECRET!r}
    raise ZeroDivisionError("nought\\x1b]0;title\\x07" + kept[:0])

mode, phase = sys.argv[1:3]
del sys.argv[1:3]
if mode == "headless":
    import engine.learner, engine.loop
    if phase == "starting":
        engine.loop.Trainer.events = fail
    elif phase == "running":
        engine.learner.Learner.update = fail
    else:
        engine.loop.save_checkpoint = fail
else:
    from resnet_tui.app import Dashboard
    if phase == "starting":
        Dashboard._open = fail
    else:
        mount = Dashboard.on_mount
        def on_mount(self):
            mount(self)
            signal.signal(signal.SIGUSR1, lambda *_: self.call_later(fail))
        Dashboard.on_mount = on_mount
from resnet_tui.start import main
main()
"""
"""The program with a mistake in it that it meets at once, or when told by a signal."""


class Scene:
    """The folder of one case, with a run that watchers watch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = SlowDisk(folder / "disk", 0.3)
        self.preset = folder / "endless.toml"
        self.preset.write_text(to_toml(tiny(train__epochs=100_000)))
        command = [*resnet_tui("train", "--headless", "--preset", str(self.preset)), "--runs-dir", "watched"]
        self._watched = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | self.disk.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        until(lambda: any(run.last.exists() for run in iterate(folder / "watched")))

    def command(self, mode: str) -> list[str]:
        """Return the arguments of the program."""
        if mode == "watch":
            return ["watch", "--runs-dir", "watched"]
        return ["train", "--preset", str(self.preset), *(["--headless"] if mode == "headless" else [])]

    def terminal(self, mode: str, *, failing_at: str | None = None) -> Terminal:
        """Start the program in a terminal, with a mistake where one is wanted."""
        command = resnet_tui(*self.command(mode))
        if failing_at is not None:
            command = [sys.executable, "-c", FAILING, mode, failing_at, *self.command(mode)]
        state = {"XDG_STATE_HOME": str(self.folder / "state")}
        environment = self.disk.environment | state
        return Terminal(command, cwd=self.folder, settings=self.folder / "config", environment=environment)

    def live_run(self) -> RunDir | None:
        """Return the run that a dashboard started, where it is alive."""
        alive = [run for run in iterate(self.folder / "runs") if run.is_alive()]
        return alive[0] if alive else None

    def tidy(self) -> None:
        """End every run but the one that is watched."""
        for process in psutil.process_iter(["cmdline"]):
            if str(self.folder / "runs") in (process.info["cmdline"] or []):  # a host's folder of runs
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        shutil.rmtree(self.folder / "runs", ignore_errors=True)

    def close(self) -> None:
        self.tidy()
        self._watched.kill()
        self._watched.wait()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("scene"))
    yield made
    made.close()


def until(wanted: Callable[[], object], timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_phase(scene: Scene, terminal: Terminal, mode: str, phase: str, chance: random.Random) -> None:
    if phase == "starting":
        if mode != "headless":
            terminal.dashboard()
        deadline = time.monotonic() + chance.uniform(0, 0.5)
        while time.monotonic() < deadline:
            terminal.read(0.005)
        return
    terminal.wait_for(b"training", timeout=60)
    if mode != "headless":
        terminal.press(ANSWER)
        terminal.wait_for(b"\x1b[?1016h")
    if phase == "saving":
        saves = scene.disk.next_save()
        terminal.wait_for(lambda _: saves(), timeout=60)


def end(terminal: Terminal, mode: str, ending: str, chance: random.Random) -> None:
    """Let it end: the process that draws is killed, its guardian or all of the job is signalled."""
    if ending == "exception":
        if mode != "headless":
            os.kill(terminal.dashboard(), signal.SIGUSR1)
    elif ending in {"KILL", "SEGV"}:
        os.kill(terminal.pid if mode == "headless" else terminal.dashboard(), signal.Signals[f"SIG{ending}"])
    else:
        chance.choice([os.kill, os.killpg])(terminal.pid, signal.Signals[f"SIG{ending}"])


def problems(scene: Scene, mode: str, phase: str, ending: str) -> list[str]:
    """Try one case; return what was wrong."""
    chance = random.Random(f"{mode} {phase} {ending}")
    fails = ending == "exception"
    with scene.terminal(mode, failing_at=phase if fails else None) as terminal:
        if not fails or (mode != "headless" and phase != "starting"):
            wait_for_phase(scene, terminal, mode, phase, chance)
            run = scene.live_run()
            end(terminal, mode, ending, chance)
        status = terminal.wait_end()
        said = terminal.output
        wrong = terminal.restored()
    expected = 1 if fails else 128 + signal.Signals[f"SIG{ending}"]
    if mode == "headless" and status < 0:
        status = 128 - status  # as a shell tells it
    if status != expected:
        wrong.append(f"status {status}, not {expected}, after {said[-1000:]!r}")
    if mode == "headless":
        return wrong
    if ending in {"KILL", "SEGV"} and f"ended by SIG{ending}".encode() not in said:
        wrong.append("it was not said what happened")
    if fails:
        wrong += misreported(scene, said)
    if (
        (ending in {"KILL", "SEGV"} or fails)
        and phase != "starting"
        and b"come back with: resnet-tui watch" not in said
    ):
        wrong.append("it was not said that the run goes on")
    if mode == "interactive" and phase != "starting" and not (run and run.is_alive()):
        wrong.append("the run did not go on")
    return wrong


def misreported(scene: Scene, said: bytes) -> list[str]:
    """Return what is wrong with how an exception was told of."""
    log = scene.folder / "state/resnet-tui/log/crash.log"
    kept = log.read_text() if log.exists() else ""
    log.unlink(missing_ok=True)
    expected = {
        "the message": "error: the dashboard failed: ZeroDivisionError: nought\ufffd]0;title\ufffd".encode() in said,
        "where the traceback is": str(log).encode() in said,
        "the traceback": "Traceback" in kept and "in fail" in kept,
        "no traceback on the terminal": b"Traceback" not in said and SECRET.encode() not in said,
        "no variables": f"'{SECRET}'" not in kept.replace(f"kept = '{SECRET}'", ""),
        "no control characters": kept.replace("\n", "").isprintable(),
    }
    return [f"missing: {name}" for name, holds in expected.items() if not holds]


def test_whatever_ends_it_whenever(scene: Scene, cases: Cases, figure: Callable[[str], None]) -> None:
    matrix = list(itertools.product(MODES, PHASES, ENDINGS))
    # Steps of 5 from here: ten have every mode in every phase, and every ending.
    chosen = [matrix[(15 + 5 * number) % len(matrix)] for number in range(cases(10, len(matrix)))]
    for case in chosen:
        try:
            assert problems(scene, *case) == [], case
        finally:
            scene.tidy()
    figure(f"{len(chosen)} of {len(chosen)} ends left the terminal as it was, with the right status")


class Shell:
    """A shell with job control in a terminal."""

    def __init__(self, scene: Scene) -> None:
        bash = shutil.which("bash")
        if bash is None:
            pytest.skip("bash is not installed")
        self.terminal = Terminal(
            [bash, "--norc", "--noprofile", "-i"], cwd=scene.folder, settings=scene.folder / "config"
        )

    def tell(self, command: str) -> int:
        """Type a command; return where what follows begins."""
        return self.terminal.press(f"{command}\n")

    def says(self, command: str, wanted: str) -> None:
        """Type a command and wait for what it prints."""
        self.terminal.wait_for(wanted.encode(), since=self.tell(command))

    def to_background(self) -> None:
        """Let the job go on there until the shell says that it has stopped."""
        since = self.tell("bg")
        while b"Stopped" not in self.terminal.output[since:]:
            self.says("jobs; echo all-$((40 + 2))", "all-42")

    def begin(self, scene: Scene, around: str = "{}") -> psutil.Process:
        """Start the dashboard, with a command around it; return what the shell has started."""
        self.tell(around.format(subprocess.list2cmdline(resnet_tui(*scene.command("watch")))))
        self.terminal.wait_for(b"training")
        (job,) = psutil.Process(self.terminal.pid).children()
        return job

    def is_usable(self) -> None:
        """Check that what is typed is seen and understood, and that nothing is switched on."""
        self.says("echo usable-$((40 + 2))", "usable-42")
        self.says("stty -a", " echo ")
        assert set(left_on(self.terminal.output)) <= {"bracketed paste"}  # which is bash's own


def are_stopped(job: psutil.Process) -> bool:
    return all(process.status() == psutil.STATUS_STOPPED for process in [job, *job.children()])


def stop_from_inside(shell: Shell, _job: psutil.Process) -> None:
    shell.terminal.press("\x1a")


def stop_as_a_job(_shell: Shell, job: psutil.Process) -> None:
    os.killpg(job.pid, signal.SIGTSTP)


def stop_unannounced(_shell: Shell, job: psutil.Process) -> None:
    job.children()[0].send_signal(signal.SIGSTOP)


def test_stopping_and_coming_back(scene: Scene, cases: Cases, figure: Callable[[str], None]) -> None:
    ways = [stop_from_inside, stop_as_a_job, stop_unannounced]
    rounds = cases(4, 30)
    shell = Shell(scene)
    with shell.terminal as terminal:
        job = shell.begin(scene)
        for number in range(rounds):
            way = ways[number % len(ways)]
            since = len(terminal.output)
            way(shell, job)
            terminal.wait_for(b"Stopped", since=since)
            until(lambda: are_stopped(job))
            shell.is_usable()
            if number % 2:  # in the background it has nothing to draw on, and stops again
                shell.to_background()
                until(lambda: are_stopped(job))
                shell.is_usable()
            back = shell.tell("fg")
            terminal.wait_for(b"\x1b[?1049h", since=back)
            terminal.wait_for(b"training", since=back)
        terminal.press("q")
        terminal.wait_for(b"Leave it running")
        since = terminal.press("ln")  # a second answer finds nothing to close
        terminal.wait_for(b"trains on; come back", since=since)
        until(lambda: not job.is_running())
        shell.says("echo status=$?", "status=0")
        shell.is_usable()
    figure(f"stopped and continued {rounds} of {rounds} times, the shell usable in between")


def test_what_no_shell_could_continue_does_not_stop(scene: Scene) -> None:
    with scene.terminal("watch") as terminal:
        terminal.wait_for(b"training")
        since = terminal.press("\x1a")
        terminal.wait_for(b"\x1b[?1049l", since=since)
        terminal.wait_for(b"training", since=terminal.output.rindex(b"\x1b[?1049l"))
        terminal.kill(signal.SIGTERM)
        assert terminal.wait_end() == 128 + signal.SIGTERM
        assert terminal.restored() == []


def test_a_script_stops_with_the_dashboard_that_it_started(scene: Scene) -> None:
    """Of which the shell sees the script alone."""
    shell = Shell(scene)
    with shell.terminal as terminal:
        job = shell.begin(scene, "sh -c '{}; exit $?'")
        since = terminal.press("\x1a")
        terminal.wait_for(b"Stopped", since=since)
        shell.is_usable()
        back = shell.tell("fg")
        terminal.wait_for(b"training", since=back)
        terminal.press("q")
        terminal.wait_for(b"Leave it running")
        terminal.wait_for(b"trains on; come back", since=terminal.press("l"))
        until(lambda: not job.is_running())
        shell.is_usable()


def test_a_dashboard_without_its_guardian_ends(scene: Scene) -> None:
    shell = Shell(scene)
    with shell.terminal as terminal:
        guardian = shell.begin(scene)
        (dashboard,) = guardian.children()
        guardian.kill()
        terminal.wait_for(lambda _: not runs(dashboard), 10)
        shell.is_usable()


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_inside_tmux_a_killed_dashboard_leaves_a_usable_shell(scene: Scene) -> None:
    def tmux(*arguments: str) -> str:
        command = ["tmux", "-L", f"resnet-tui-test-{os.getpid()}", "-f", os.devnull, *arguments]
        environment = os.environ | {"RESNET_TUI_CONFIG": str(scene.folder / "config"), "LANG": "C.UTF-8"}
        return subprocess.run(
            command, cwd=scene.folder, env=environment, capture_output=True, text=True, check=True
        ).stdout

    def pane() -> str:
        return tmux("capture-pane", "-p")

    tmux("new-session", "-d", "-x", "120", "-y", "40", "sh -i")
    try:
        tmux("send-keys", subprocess.list2cmdline(resnet_tui(*scene.command("watch"))), "Enter")
        until(lambda: "training" in pane())
        flags = "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{wrap_flag}"
        assert tmux("display-message", "-p", flags).split() == ["1", "0", "1", "0"]
        shell = psutil.Process(int(tmux("display-message", "-p", "#{pane_pid}")))
        (guardian,) = shell.children()
        guardian.children()[0].kill()
        until(lambda: "ended by SIGKILL" in pane())
        until(lambda: not shell.children())
        assert tmux("display-message", "-p", flags).split() == ["0", "1", "0", "1"]
        tmux("send-keys", "echo usable-$((40 + 2))", "Enter")
        until(lambda: "usable-42" in pane())
        assert "echo usable-$((40 + 2))" in pane()  # what was typed is seen
    finally:
        tmux("kill-server")
