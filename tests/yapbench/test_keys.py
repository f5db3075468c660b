"""A server that needs a key gets one where nobody has set any, its clients have the same, and it is written nowhere."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from servers.echo.settings import Settings as Echo
from yapbench import catalog, keys, service
from yapbench.command import free_port
from yapbench.errors import ExitCode
from yapbench.runner import Run
from yapbench.verbs import serving, verify

KYUTAI = catalog.lookup("kyutai")


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("KYUTAI_API_KEY", "ECHO_KEY", "STATUS_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)  # no .env


@pytest.fixture
def echo_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Echo, "required_secrets", ("auth_key",))


def test_what_is_needed_and_missing_is_made_anew_each_time() -> None:
    settings = catalog.parsed_settings(KYUTAI, {})
    first, second = keys.for_start(settings), keys.for_start(settings)
    assert list(first.made) == ["KYUTAI_API_KEY"] and not first.given
    assert len(first.made["KYUTAI_API_KEY"]) >= 32 and first.made != second.made
    assert first.words() == [f"no key was set; for its clients: export KYUTAI_API_KEY={first.all['KYUTAI_API_KEY']}"]


def test_what_is_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KYUTAI_API_KEY", "mine,yours")
    found = keys.for_start(catalog.parsed_settings(KYUTAI, {}))
    assert (found.given, found.made, found.words()) == ({"KYUTAI_API_KEY": "mine,yours"}, {}, [])


def test_the_keys_of_a_servers_own_file_count(tmp_path: Path) -> None:
    toml = tmp_path / "config.toml"
    toml.write_text('authorized_ids = ["of-the-file"]\n[modules.asr]\ntype = "BatchedAsr"\n')
    found = keys.for_start(catalog.parsed_settings(KYUTAI, {"config": str(toml)}))
    assert (found.all, found.made) == ({"KYUTAI_API_KEY": "of-the-file"}, {})


def test_a_server_that_needs_none_gets_none() -> None:
    assert keys.for_start(catalog.parsed_settings(catalog.lookup("smart_turn"), {})) == keys.Keys()


def test_no_key_is_shown_by_chance() -> None:
    found = keys.for_start(catalog.parsed_settings(KYUTAI, {}))
    assert found.all["KYUTAI_API_KEY"] not in repr(found)


def everything_below(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.usefixtures("echo_needs_a_key")
def test_up_and_restart_say_the_key_once_and_write_it_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, port, said = tmp_path / "run", free_port(), []
    try:
        assert serving.up("echo", [f"--port={port}"], run=run) == 0
        said.append(capsys.readouterr().out)
        assert serving.restart("echo", ["--delay-ms=1"], run=run) == 0
        said.append(capsys.readouterr().out)
        found = [re.findall(r"export ECHO_KEY=(\S+)", one) for one in said]
        answers = [_status_of(port, key) for key in ("", found[0][0], found[1][0])]
    finally:
        service.down("echo", run=run)
    assert [len(one) for one in found] == [1, 1]
    assert answers == [401, 401, 400]  # with the newest key it looks at what was sent
    assert not any(key in everything_below(run) for (key,) in found)


def _status_of(port: int, key: str) -> int:
    headers = {"X-API-Key": key} if key else {}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/raw", data=b"no array", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=5)
    refused.value.close()
    return refused.value.code


@pytest.mark.slow
@pytest.mark.usefixtures("echo_needs_a_key")
def test_a_trial_makes_a_key_for_its_server_and_its_load(tmp_path: Path) -> None:
    given = {"client": "echo_pcm", "corpus": "samples?kind=turn&label=complete&limit=2", "pace": 8, "requests": 2}
    folder = tmp_path / "trial"
    with Run.from_parameters("echo", "05_echo", {**given, "concurrency": "2", "out_dir": str(folder)}) as run:
        run.start()
        run.measure()
        key = run._keys["ECHO_KEY"]
    assert set(run.data().utterances["outcome"]) == {"ok"}
    assert 'ECHO_KEY="$ECHO_KEY" ' in run.data().info["server_command"]
    assert key not in everything_below(folder)


@pytest.mark.slow
@pytest.mark.usefixtures("echo_needs_a_key")
def test_a_server_that_is_started_to_be_verified_is_asked_with_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verify.verify("echo", [f"--output={tmp_path / 'b.tar.gz'}"], runs=tmp_path)
    said = capsys.readouterr().out
    assert "8 of 8 clips answered" in said and "export" not in said


def test_the_foreground_server_is_started_with_a_key_that_is_shown_before() -> None:
    code = (
        "import os; from yapbench import command, envs\n"
        "envs.interpreter = lambda name: '/bin/python'\n"
        "os.execve = lambda path, argv, env: print('ENV', env['KYUTAI_API_KEY'])\n"
        "command.foreground('kyutai', ['--model=tiny', '--device=cpu'])\n"
    )
    root = str(Path(catalog.__file__).parent.parent)
    environment = {"PYTHONPATH": root, "PATH": "/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    shown = re.findall(r"export KYUTAI_API_KEY=(\S+)", done.stdout)
    assert len(shown) == 1 and f"ENV {shown[0]}" in done.stdout
    assert 'KYUTAI_API_KEY="$KYUTAI_API_KEY" /bin/python -m servers.kyutai --model=tiny --device=cpu' in done.stdout
    assert done.returncode == ExitCode.OK
