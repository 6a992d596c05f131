"""Make `.venv` (`.venv-bench` to measure) hold what the lock file says, or leave it alone if it already does.

Called by ./demo, ./test and bench/run with the name of a group of packages. Needs only Python's standard
library. It writes into this folder and the package installer's own cache, nowhere else; it never resolves a
version (the lock has them all, with hashes); and when it fails it says in one sentence what to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / (".venv-bench" if sys.argv[1:] == ["bench"] else ".venv")  # with a Python of its own choice
PYTHON = VENV / "bin" / "python"
STATE = ROOT / ".avow"
LOG = STATE / "install.log"
READY = VENV / "avow-ready.json"
UNFINISHED = STATE / f"{VENV.name}-unfinished"

# What each group takes on the disk while it is being installed, and which groups it includes.
FREE_MB_MIN = {"demo": 400, "dev": 1500, "bench": 1500}
INCLUDES = {"demo": ("demo",), "dev": ("demo", "dev"), "bench": ("demo", "bench")}
LOG_LINES_SHOWN_MAX = 12
DOWNLOAD_TIMEOUT_S = 30

# The one that a Python brings may need twice the time, and a distribution may have taken it out (Debian's
# without python3-venv).
PIP_VERSION = "26.3"
PIP_WHEEL = f"pip-{PIP_VERSION}-py3-none-any.whl"
PIP_WHEEL_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"

UNREACHABLE = (
    "name resolution",
    "Name or service not known",
    "nodename nor servname",
    "dns error",
    "NewConnectionError",
    "Network is unreachable",
    "Connection refused",
    "timed out",
    "Failed to fetch",
    "Max retries",
    "ConnectionResetError",
    "error sending request",
)
NO_WHEEL = ("No matching distribution", "no wheels", "no usable wheels", "Could not find a version")
THIS_MACHINE = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"

# The first row of which a piece stands in the log decides what is said.
MENDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("No space left on device", "os error 28"), "The disk is full: free some space"),
    (
        ("CERTIFICATE_VERIFY_FAILED", "invalid peer certificate"),
        "The certificate of the package index is not trusted here: install the package ca-certificates, "
        + "or name your proxy's certificates in SSL_CERT_FILE and PIP_CERT",
    ),
    (
        ("DO NOT MATCH THE HASHES", "Hash mismatch", "hash mismatch"),
        "A package differs from the one that the lock names: ask whoever runs your package mirror",
    ),
    (
        UNREACHABLE,
        "The package index cannot be reached: connect to the network "
        + "(HTTPS_PROXY and PIP_INDEX_URL are respected)",
    ),
    (
        NO_WHEEL,
        f"There is no ready-made package for this machine ({THIS_MACHINE}): "
        + "use Python 3.11 to 3.14 on Linux with glibc or on macOS 13.5 or newer",
    ),
    (
        ("Read-only file system", "Permission denied"),
        "This folder, or a part of it, cannot be written by you: clone it to a folder of your own",
    ),
)


class InstallError(Exception):
    """What went wrong, as the sentence that the user is to read."""


def main(group: str) -> int:
    """Bring the environment up to `group`; 0 when it is ready, 3 when this machine stands in the way."""
    try:
        if ready(group):
            return 0
        STATE.mkdir(exist_ok=True)
        with (STATE / "install.lock").open("a") as lock:
            wait_for(lock.fileno())
            if not ready(group):
                install(group, lock.fileno())
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again to finish the installation.", file=sys.stderr)
        return 130
    except (OSError, InstallError) as error:
        print(f"{mend_of(str(error))}, then run the same command again.", file=sys.stderr)
        return 3
    return 0


def wait_for(lock: int) -> None:
    """Hold the lock; it goes with the process that holds it, also when that one is killed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Waiting for another ./demo or ./test that is installing here.", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)


def digest_of(group: str) -> str:
    """What an installation of `group` was made from."""
    sources = (ROOT / "pyproject.toml", ROOT / f"requirements-{group}.lock")
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


def stamp() -> dict[str, str]:
    """What the last finished installation wrote; empty without one, or when it belongs to another folder."""
    try:
        written: dict[str, str] = json.loads(READY.read_text())
    except (OSError, ValueError):
        return {}
    return written if written.get("root") == str(ROOT) and venv_version() == written.get("python") else {}


def venv_version() -> str | None:
    """The version of the Python in the environment; None when there is none that starts."""
    question = "import platform; print(platform.python_version())"
    try:
        answer = subprocess.run([PYTHON, "-c", question], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def ready(group: str) -> bool:
    return not UNFINISHED.exists() and stamp().get(group) == digest_of(group)


def install(group: str, held: int) -> None:
    """Install under the lock `held`. A cut or copied installation is thrown away first."""
    free_mb = shutil.disk_usage(ROOT).free // 2**20
    if free_mb < FREE_MB_MIN[group]:
        raise InstallError(
            f"This disk has {free_mb} MB free, and {FREE_MB_MIN[group]} MB are needed: free some space"
        )
    started = time.monotonic()
    before = stamp()
    LOG.write_text("")
    if UNFINISHED.exists() or (READY.exists() and not before) or venv_version() is None:
        remove_venv()
    UNFINISHED.touch()
    READY.unlink(missing_ok=True)
    uv = shutil.which("uv")
    if not VENV.exists():
        print(f"Making {VENV.name} with Python {platform.python_version()} ({sys.executable})", flush=True)
        make_venv(uv, held)
    pip = [uv, "pip"] if uv else pip_command(held)
    # Nothing is compiled ahead, as with uv: most modules are never imported, the rest at its first import.
    where = ["--python", str(PYTHON)] if uv else ["--retries", "2", "--no-compile"]
    lock = ROOT / f"requirements-{group}.lock"
    count = len(re.findall(r"^[a-z0-9].*==", lock.read_text(), re.MULTILINE))
    locked = ["--require-hashes", "--only-binary", ":all:", "-r", str(lock)]
    run([*pip, "install", *where, *locked], f"Installing {count} packages", held)
    run(
        [*pip, "install", *where, "--no-deps", "--no-build-isolation", "-e", str(ROOT)],
        "Installing avow itself",
        held,
    )
    now = {name: digest_of(name) for name in INCLUDES[group]}
    version = venv_version()
    if version is None:
        raise InstallError(f"{PYTHON} does not start: remove {VENV.name}")
    READY.write_text(json.dumps(before | now | {"root": str(ROOT), "python": version}, indent=2))
    UNFINISHED.unlink()
    print(f"Ready after {time.monotonic() - started:.0f} s.", flush=True)


def remove_venv() -> None:
    if VENV.is_symlink():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)


def make_venv(uv: str | None, held: int) -> None:
    if uv:
        run([uv, "venv", "--no-project", "--python", sys.executable, str(VENV)], "", held)
    elif importlib.util.find_spec("ensurepip"):
        run([sys.executable, "-m", "venv", str(VENV)], "", held)
    else:
        run([sys.executable, "-m", "venv", "--without-pip", str(VENV)], "", held)


def pip_command(held: int) -> Sequence[str]:
    """The environment's own pip, of our version; without `ensurepip`, one that is run out of its wheel."""
    if (VENV / "bin" / "pip").exists():
        pip = [str(PYTHON), "-m", "pip"]
        lock = STATE / "pip.lock"
        lock.write_text(f"pip=={PIP_VERSION} --hash=sha256:{PIP_WHEEL_SHA256}\n")
        run([*pip, "install", "--require-hashes", "--only-binary", ":all:", "-r", str(lock)], "", held)
        return pip
    wheel = STATE / "cache" / PIP_WHEEL
    if not (wheel.exists() and sha256_of(wheel.read_bytes()) == PIP_WHEEL_SHA256):
        wheel.parent.mkdir(exist_ok=True)
        wheel.write_bytes(download_pip())
    return [str(PYTHON), str(wheel / "pip")]


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def download_pip() -> bytes:
    """The pinned wheel of pip, from the index that the user has chosen."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    try:
        with urllib.request.urlopen(index, timeout=DOWNLOAD_TIMEOUT_S) as page:
            link = re.search(rf'href="([^"#]*{re.escape(PIP_WHEEL)})', page.read().decode())
        if link is None:
            raise InstallError(f"No matching distribution: {index} has no {PIP_WHEEL}")
        with urllib.request.urlopen(urllib.parse.urljoin(index, link[1]), timeout=DOWNLOAD_TIMEOUT_S) as file:
            data: bytes = file.read()
    except OSError as error:
        LOG.write_text(f"{index}: {error}\n")
        raise InstallError(
            f"This Python has no ensurepip, and pip cannot be fetched ({error}): connect to the network,"
            f" or install it (Debian, Ubuntu: apt-get install python3.{sys.version_info.minor}-venv)"
        ) from error
    if sha256_of(data) != PIP_WHEEL_SHA256:
        raise InstallError("Hash mismatch: " + PIP_WHEEL)
    return data


def run(command: Sequence[str], title: str, held: int) -> None:
    """Run one step; what it says goes to the log, and the seconds to the terminal.

    The step holds the lock too: should this process be killed, the next run waits for the step to end.
    """
    settings = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_USER": "0"}
    # An account without a name has no home that Python could tell.
    if not os.access(os.path.expanduser("~"), os.W_OK):
        settings |= {"UV_CACHE_DIR": str(STATE / "cache" / "uv"), "PIP_NO_CACHE_DIR": "1"}
    started = time.monotonic()
    live = bool(title) and sys.stdout.isatty()
    with LOG.open("a") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=os.environ | settings,
            pass_fds=(held,),
        )
        try:
            while process.poll() is None:
                try:
                    process.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    if live:
                        print(f"\r{title} ... {time.monotonic() - started:.0f} s", end="", flush=True)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if title:
        print(f"{chr(13) if live else ''}{title} ... {time.monotonic() - started:.0f} s", flush=True)
    if process.returncode:
        lines = LOG.read_text(errors="replace").splitlines()
        print("\n".join(lines[-LOG_LINES_SHOWN_MAX:]), file=sys.stderr)
        raise InstallError("\n".join(lines))


def mend_of(log: str) -> str:
    """The sentence for a failure, without its end."""
    for pieces, sentence in MENDS:
        if any(piece in log for piece in pieces):
            return sentence
    if "\n" not in log:
        return log
    return f"The installation failed: read .avow/{LOG.name} for the reason and mend it"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
