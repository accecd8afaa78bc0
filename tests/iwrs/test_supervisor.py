"""The supervisor with real child processes: health, early ends, and nothing left running."""

import json
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from iwrs import supervisor
from iwrs.embedded import Services, start
from iwrs.processes import Process
from iwrs.supervisor import Supervisor, SupervisorError
from tests.ports import free_port

ECHO = """
import json, os, sys, time
json.dump(dict(os.environ), open(sys.argv[1] + ".new", "w"))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(120)
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
open(sys.argv[1], "w").write(str(grandchild.pid))
time.sleep(120)
"""
FAILING = """
print("\\n".join(f"line {n}" for n in range(30)))
sys.exit("the reason")
"""


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    folder = Path(tempfile.mkdtemp(prefix="iwrs-test-"))
    with start(folder, durable=False) as running:
        yield running
    shutil.rmtree(folder)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory with small programs to run as modules, and a health page to serve."""
    for name, text in (("echo", ECHO), ("stubborn", STUBBORN), ("failing", FAILING)):
        (tmp_path / f"iwrs_{name}.py").write_text(text)
    (tmp_path / "health").mkdir()
    (tmp_path / "health" / "index.html").write_text("ok")
    return tmp_path


def web(port: int) -> Process:
    return Process("web", "blinded", ("http.server", "{port}", "--bind", "{host}"), port)


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.read_text()


def start_and_watch(running: Supervisor) -> None:
    running.start()
    while True:
        running.check()


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


@pytest.fixture(autouse=True)
def nothing_is_left(services: Services) -> Iterator[None]:
    before = children()
    yield
    # Sessions of the database come and go; the rest is what a test left behind.
    server = psutil.Process(services.postgres.pid)
    sessions = {process.pid for process in server.children(recursive=True)}
    assert children() - sessions <= before
    assert {note.name for note in (services.state_dir / "run").iterdir()} == {"redis.json"}


def test_each_process_runs_with_its_own_side_s_environment(
    services: Services, programs: Path
) -> None:
    processes = [
        web(free_port()),
        Process("worker", "blinded", ("iwrs_echo", "{state}/worker.seen")),
        Process("worker-unblinded", "unblinded", ("iwrs_echo", "{state}/worker-unblinded.seen")),
    ]
    with Supervisor(services, processes=processes, directory=programs) as running:
        running.check()
        for process in processes[1:]:
            seen = json.loads(wait_for(services.state_dir / f"{process.name}.seen"))
            other = "unblinded" if process.side == "blinded" else "blinded"
            assert seen["DATABASE_URL"] == getattr(services.urls, process.side)
            assert seen["REDIS_URL"] == getattr(services.urls, f"redis_{process.side}")
            for secret in (f"iwrs_{other}", f"redis_{other}", f"secret_key_{other}", "postgres"):
                assert services.secrets[secret] not in json.dumps(seen)
        assert "GET /health/" in running.log_path("web").read_text()
        assert running.log_path("worker") != running.log_path("worker-unblinded")


def test_an_early_end_shows_the_last_lines_and_stops_the_others(
    services: Services, programs: Path
) -> None:
    processes = [
        Process("worker", "blinded", ("iwrs_echo", "{state}/seen")),
        Process("beat", "blinded", ("iwrs_failing",)),
        web(free_port()),
    ]
    running = Supervisor(services, processes=processes, directory=programs)
    with pytest.raises(SupervisorError) as ended:
        start_and_watch(running)
    running.stop()
    text = str(ended.value)
    assert text.startswith("beat ended with exit code 1. The last lines of")
    assert "the reason" in text
    assert "line 29" in text
    assert "line 5\n" not in text


def test_a_later_end_is_noticed(services: Services, programs: Path) -> None:
    process = Process("worker", "blinded", ("iwrs_echo", "{state}/later"))
    with Supervisor(services, processes=[process], directory=programs) as running:
        running.running["worker"].send_signal(signal.SIGKILL)
        running.running["worker"].wait()
        with pytest.raises(SupervisorError, match="worker ended with exit code -9"):
            running.check()


def test_a_stubborn_process_is_killed_with_its_children(
    services: Services, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SECONDS_OF_GRACE", 0.5)
    process = Process("worker", "blinded", ("iwrs_stubborn", "{state}/grandchild"))
    with Supervisor(services, processes=[process], directory=programs):
        grandchild = int(wait_for(services.state_dir / "grandchild"))
        assert psutil.pid_exists(grandchild)
    deadline = time.monotonic() + 10  # the kernel ends a killed process in its own time
    while not _ended(grandchild):
        assert time.monotonic() < deadline, "the grandchild lives on"
        time.sleep(0.02)


def _ended(pid: int) -> bool:
    """True also for a process that only waits to be collected by its parent."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_taken_port_is_named(services: Services, programs: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        running = Supervisor(services, processes=[web(port)], directory=programs)
        with pytest.raises(SupervisorError, match=rf"Port {port}, wanted for web.*another port"):
            running.start()


def test_a_site_that_is_not_healthy_is_reported(
    services: Services, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[str] = []
    ask = supervisor._health
    monkeypatch.setattr(
        supervisor, "_health", lambda port: answers.append(ask(port)) or answers[-1]
    )
    # The time is up as soon as the site has answered, however long that takes here.
    clock = SimpleNamespace(
        sleep=time.sleep, monotonic=lambda: time.monotonic() + 3600 * ("404" in answers)
    )
    monkeypatch.setattr(supervisor, "time", clock)
    (programs / "health" / "index.html").unlink()
    (programs / "health").rmdir()
    running = Supervisor(services, processes=[web(free_port())], directory=programs)
    with pytest.raises(SupervisorError, match=r"(?s)web does not answer.*last: 404.*last lines"):
        running.start()


def test_children_of_a_killed_supervisor_are_replaced(services: Services, programs: Path) -> None:
    process = web(free_port())
    first = Supervisor(services, processes=[process], directory=programs)
    first.start()
    left = first.running["web"]
    # The second one finds the port taken by the first one's child, unless it stops that child.
    with Supervisor(services, processes=[process], directory=programs) as second:
        assert left.poll() == -signal.SIGTERM
        assert second.running["web"].pid != left.pid
