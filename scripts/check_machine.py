"""Checks what `make` needs before it installs anything; runs on any Python 3, prints one remedy a line.

Usage: check_machine.py CHECKOUT NEED_GB. Exit 0 when all is there, 3 with the remedies otherwise.
Knows nothing of the project; must stay readable by a Python that is too old for it.
"""

import os
import shutil
import sys


def newer_python_remedy() -> str:
    """The line that gets a Python >= 3.11 on this distribution."""
    release = {}
    try:
        with open("/etc/os-release", encoding="utf-8") as lines:
            for line in lines:
                key, _, value = line.strip().partition("=")
                release[key] = value.strip('"')
    except OSError:
        pass
    name = (release.get("ID", ""), release.get("VERSION_ID", ""))
    if name == ("ubuntu", "22.04"):
        return "sudo apt-get install -y python3.11 python3.11-venv && make PYTHON=python3.11 demo"
    if release.get("ID") in ("debian", "ubuntu"):
        return "conda create -y -n py312 python=3.12 && make PYTHON=$(conda run -n py312 which python) demo"
    return "install Python 3.11 or newer and run: make PYTHON=/path/to/python3.12 demo"


def problems(checkout: str, need_gb: float) -> list:  # type: ignore[type-arg]
    """One line for each thing that is missing, with its remedy."""
    found = []
    version = "%d.%d" % sys.version_info[:2]
    if sys.version_info < (3, 11):
        found.append("Python %s is too old, 3.11 is needed. Run: %s" % (version, newer_python_remedy()))
        return found
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        found.append("Python's venv module is missing. Run: sudo apt-get install -y python%s-venv" % version)
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
