"""What a machine may lack that a job and what it starts cannot do without; Spark's part is spark_conf/spark-env.sh."""

from __future__ import annotations

import os
import pwd
import sys
import tempfile
from collections.abc import MutableMapping
from multiprocessing import util

#: Hosts that no proxy is asked for.
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")

#: Bytes that the temporary folder's name may have: a socket's has 107 at most, and lies in a folder of its own there.
SOCKET_FOLDER_BYTES = 70
SHORT_FOLDER = "/tmp"


def prepare() -> None:
    """Make up for it. To be called once, before anything else is started."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"  # or letters of folders' names are no letters here
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    bypass_proxy(os.environ)
    if not has_user_name():  # Python, MLflow and PyTorch look for both
        os.environ.setdefault("USER", f"uid{os.getuid()}")
        os.environ.setdefault("HOME", tempfile.gettempdir())
    if len(os.fsencode(tempfile.gettempdir())) > SOCKET_FOLDER_BYTES:
        elsewhere, tempfile.tempdir = tempfile.tempdir, SHORT_FOLDER
        try:
            util.get_temp_dir()  # type: ignore[attr-defined]  # of multiprocessing's sockets: chosen once
        finally:
            tempfile.tempdir = elsewhere


def bypass_proxy(environment: MutableMapping[str, str]) -> None:
    """Add the local hosts to those that every library asks without a proxy."""
    names = ("no_proxy", "NO_PROXY")
    listed = [host.strip() for name in names for host in environment.get(name, "").split(",")]
    hosts = ",".join(dict.fromkeys([*filter(None, listed), *LOCAL_HOSTS]))
    environment.update(dict.fromkeys(names, hosts))


def has_user_name() -> bool:
    """Whether the user's id has an entry in passwd; in a container it may have none."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True
