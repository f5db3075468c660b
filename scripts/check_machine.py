"""Checks what `make` needs before it installs anything; runs on any Python 3, prints one remedy a line.

Usage: check_machine.py CHECKOUT NEED_GB. Exit 0 when all is there, 3 with the remedies otherwise.
Knows nothing of the project; must stay readable by a Python that is too old for it.
"""

import os
import shutil
import sys


def newer_python_remedy(release: dict, as_root: bool) -> str:  # type: ignore[type-arg]
    """The line that gets a Python >= 3.11 on this distribution; `release` as /etc/os-release says."""
    sudo = "" if as_root else "sudo "
    if (release.get("ID"), release.get("VERSION_ID")) == ("ubuntu", "22.04"):
        packages = "python3.11 python3.11-venv"
        return "%sapt-get update && %sapt-get install -y %s && make PYTHON=python3.11 demo" % (sudo, sudo, packages)
    get = "python3 -m pip install --user uv && python3 -m uv venv --seed --python 3.12 ~/.yapbench-python"
    return get + " && make PYTHON=~/.yapbench-python/bin/python demo"


def os_release() -> dict:  # type: ignore[type-arg]
    """What the distribution calls itself; {} where it does not say."""
    release = {}
    try:
        with open("/etc/os-release", encoding="utf-8") as lines:
            for line in lines:
                key, _, value = line.strip().partition("=")
                release[key] = value.strip('"')
    except OSError:
        pass
    return release


def problems(checkout: str, need_gb: float) -> list:  # type: ignore[type-arg]
    """One line for each thing that is missing, with its remedy."""
    found = []
    version = "%d.%d" % sys.version_info[:2]
    as_root = os.geteuid() == 0
    if sys.version_info < (3, 11):
        remedy = newer_python_remedy(os_release(), as_root)
        found.append("Python %s is too old, 3.11 is needed. Run: %s" % (version, remedy))
        return found
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        sudo = "" if as_root else "sudo "
        found.append("Python's venv module is missing. Run: %sapt-get install -y python%s-venv" % (sudo, version))
    if not os.access(checkout, os.W_OK):
        found.append("%s is not writable. Run: sudo chown -R $(id -u) %s" % (checkout, checkout))
    free_gb = shutil.disk_usage(checkout).free / 1e9
    if free_gb < need_gb:
        found.append(
            "%.1f GB free under %s, %.0f GB are needed. Free some, or clone to a larger disk."
            % (free_gb, checkout, need_gb)
        )
    return found


if __name__ == "__main__":
    lines = problems(sys.argv[1], float(sys.argv[2]))
    for line in lines:
        sys.stderr.write("yapbench: " + line + "\n")
    sys.exit(3 if lines else 0)
