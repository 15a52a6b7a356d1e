"""The life of one PostgreSQL server and its home directory; postgres.py is what others use.

Three locks in the home directory order who does what. The kernel drops them however a process ends.

- `change.lock`: exclusive, while somebody joins, leaves or restarts;
- `users.lock`: shared by all who use the server; the keeper (postgres_keeper.py) waits for it to become free;
- `running.lock`: held by the keeper for as long as the server runs.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg

from crm_sync_pipeline.sandbox import postgres_keeper
from crm_sync_pipeline.sandbox.postgres_host import (
    PREFIX,
    TMP,
    Account,
    PostgresUnavailable,
    find_binaries,
    fits_a_socket,
    short_hash,
)

PORT = 5432  # only names the socket file; said everywhere, so that PGPORT does not matter
_LAUNCHES = 3
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_SETTINGS = ("listen_addresses=", "timezone=UTC", "log_timezone=UTC")
_THROWAWAY_SETTINGS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


class Server:
    """What one process knows of the server in `home`, which must exist. Raises PostgresUnavailable and OSError."""

    def __init__(self, home: Path, *, throwaway: bool) -> None:
        self.home = home
        self._data = home / "data"
        self._throwaway = throwaway
        self._account = Account.for_cluster(self._data)
        self._users: int | None = None
        short = home / "socket"
        self.socket_directory = short if fits_a_socket(short) else TMP / f"{PREFIX}{short_hash(home)}"

    @property
    def pid(self) -> int:
        """The process id of the postmaster. FileNotFoundError when there is none."""
        return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Become a user of the running server; nobody else joins or leaves before the block is done."""
        with self._locked("change.lock"):
            users = self._open("users.lock")
            try:
                fcntl.flock(users, fcntl.LOCK_SH)  # waits while a keeper is stopping the server
                self._run()
                yield
            except BaseException:
                os.close(users)
                raise
            self._users = users

    def leave(self) -> None:
        """Stop being a user. The last one to leave waits until the server is down."""
        if self._users is None:
            return
        users, self._users = self._users, None
        try:
            with self._locked("change.lock"):
                running = self._open("running.lock")
                last = _last_holder(users)
                fcntl.flock(users, fcntl.LOCK_UN)  # closing does not do it while a forked child has the file open too
                if last:
                    fcntl.flock(running, fcntl.LOCK_EX)
                    self._clear_up()
                os.close(running)
        except FileNotFoundError:
            pass  # somebody deleted the home directory: there is nothing to wait for
        finally:
            os.close(users)

    def restart(self, how: signal.Signals) -> None:
        """Send the postmaster `how` and start anew."""
        with self._locked("change.lock"):
            if process := self._postmaster():
                process.send_signal(how)
            with self._locked("running.lock"):
                pass
            self._run()

    def remove_if_abandoned(self) -> None:
        """Delete this throw-away home if it has no user and no keeper: both were killed."""
        with (
            suppress(BlockingIOError),
            self._locked("users.lock", wait=False),
            self._locked("running.lock", wait=False),
        ):
            self._clear_up()

    def connect(self, database: str) -> psycopg.Connection:
        """Open a connection in autocommit mode."""
        return psycopg.connect(
            host=str(self.socket_directory), port=PORT, user="postgres", dbname=database, autocommit=True
        )

    def _run(self) -> None:
        """Return when the server answers; launch it whenever it has no keeper."""
        launches = 0
        refusal = ""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with suppress(BlockingIOError), self._locked("running.lock", wait=False) as running:
                if launches == _LAUNCHES:
                    break
                launches += 1
                self._launch(running)
            try:
                self.connect("postgres").close()
            except psycopg.OperationalError as error:
                refusal = str(error)
                time.sleep(0.02)
            else:
                return
        log = (self.home / "server.log").read_text(errors="replace")[-2000:].strip()
        raise PostgresUnavailable(
            f"PostgreSQL does not answer in {self.home}: {refusal}\nIts log ends:\n{log or '(empty)'}\n"
            "Remove the cause, or that directory with all data in it, or set DATABASE_URL to a running PostgreSQL."
        )

    def _launch(self, running: int) -> None:
        """Start the server under a keeper, which takes over the lock `running`."""
        self._stop_orphan()
        binaries = find_binaries()
        self._account.own(self.socket_directory)
        if not self._data.exists():
            self._make_cluster(binaries)
        command = [str(binaries / "postgres"), "-D", str(self._data), "-k", str(self.socket_directory), "-p", str(PORT)]
        for setting in _SETTINGS + (_THROWAWAY_SETTINGS if self._throwaway else ()):
            command += ["-c", setting]
        keeper = [sys.executable, "-I", "-S", postgres_keeper.__file__, str(self.home / "users.lock")]
        keeper += [str(self.home) if self._throwaway else "", str(self._account.uid), str(self._account.gid)]
        with (self.home / "server.log").open("wb") as log:
            subprocess.run(
                [*keeper, *command],
                check=True,
                cwd="/",
                env=_environment(),
                pass_fds=(running,),
                start_new_session=True,  # Ctrl-C is meant for us; the keeper notices when we are gone
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _make_cluster(self, binaries: Path) -> None:
        """Run initdb beside the final place, so that an interrupted one leaves no half-made cluster."""
        draft = self.home / "data.new"
        if draft.exists():
            shutil.rmtree(draft)
        self._account.own(draft)
        root = os.geteuid() == 0
        outcome = subprocess.run(
            # -N: no fsync, which takes seconds on a busy disk
            [binaries / "initdb", "-D", draft, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            check=False,
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            user=self._account.uid if root else None,
            group=self._account.gid if root else None,
            extra_groups=[] if root else None,
        )
        if outcome.returncode:
            said = outcome.stderr.decode(errors="replace").strip()
            raise PostgresUnavailable(
                f"initdb could not make a cluster in {self.home}: {said}\n"
                "Remove the cause, or set DATABASE_URL to a running PostgreSQL."
            )
        draft.rename(self._data)

    def _clear_up(self) -> None:
        """Do what the keeper does at the end, in case it was killed."""
        self._stop_orphan()
        if self._throwaway:
            shutil.rmtree(self.home, ignore_errors=True)

    def _stop_orphan(self) -> None:
        """Stop a server whose keeper was killed; forget a process id that is somebody else's by now."""
        deadline = time.monotonic() + _STOP_SECONDS
        while process := self._postmaster():
            process.send_signal(signal.SIGINT if time.monotonic() < deadline else signal.SIGQUIT)
            time.sleep(0.02)
        with suppress(FileNotFoundError):
            if psutil.pid_exists(self.pid):  # else PostgreSQL itself clears up, and more carefully
                (self._data / "postmaster.pid").unlink()
                (self.socket_directory / f".s.PGSQL.{PORT}.lock").unlink()

    def _postmaster(self) -> psutil.Process | None:
        """Return the process in postmaster.pid if it is alive, a postmaster, and at work in our data directory."""
        with suppress(FileNotFoundError, psutil.Error):
            process = psutil.Process(self.pid)
            if process.name() == "postgres" and Path(process.cwd()) == self._data:
                return process
        return None

    def _open(self, name: str) -> int:
        return os.open(self.home / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)

    @contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[int]:
        """Hold a lock exclusively. Without `wait`, BlockingIOError when another process has it."""
        lock = self._open(name)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield lock
        finally:
            os.close(lock)


def _last_holder(users: int) -> bool:
    """Whether nobody else holds the users' lock, which may be lost by asking."""
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    with suppress(BlockingIOError):  # a change of lock lets go of it first, so the keeper may have it by now
        fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    return True


def _environment() -> dict[str, str]:
    """Return ours without PostgreSQL's variables, and a locale that does not make the postmaster threaded on macOS."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
