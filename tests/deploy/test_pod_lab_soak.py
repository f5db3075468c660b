"""The real JupyterLab behind `make lab`: its token, its one address, and a kernel that has the project."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench.processes import CHECKOUT
from yapbench.command import free_port

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with JupyterLab, beside all that this one has."""
    folder = tmp_path_factory.mktemp("lab") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    own = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "beside.pth").write_text(f"{own}\n{CHECKOUT}\n", encoding="utf-8")
    found = folder / "bin" / "python"
    pip = [str(found), "-m", "pip", "install", "--quiet", "-c", str(CHECKOUT / "constraints.txt"), "jupyterlab"]
    subprocess.run(pip, check=True)
    return found


def asked(url: str, token: str, path: str) -> Any:
    request = urllib.request.Request(f"{url}{path}", headers={"Authorization": f"token {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_one_address_opens_the_notebooks_and_nothing_else_does(python: Path, tmp_path: Path) -> None:
    variables = {"LAB_IP": "127.0.0.1", "LAB_PORT": str(free_port()), "JUPYTER_TOKEN": "", "HOME": str(tmp_path)}
    with subprocess.Popen(
        [str(python), "-m", "yapbench.pod.lab"],
        cwd=CHECKOUT,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = re.fullmatch(r"JupyterLab: (http://127\.0\.0\.1:\d+)/lab\?token=(.+)\n", process.stdout.readline())
            assert said is not None
            names = {entry["name"] for entry in asked(said[1], said[2], "/api/contents")["content"]}
            assert {path.name for path in (CHECKOUT / "notebooks").glob("*.ipynb")} <= names
            (kernel,) = asked(said[1], said[2], "/api/kernelspecs")["kernelspecs"].values()
            assert kernel["spec"]["argv"][0] in ("python", str(python))
            with pytest.raises(urllib.error.HTTPError, match="403"):
                asked(said[1], "wrong", "/api/contents")
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0
