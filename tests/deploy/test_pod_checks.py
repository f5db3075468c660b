"""What a machine is asked before a server comes to it, what is said of one that is up, and who gets a key."""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.yapbench.doctor_probes import GRAPHICS, LIGHT, TORCH, V2
from yapbench import catalog, probe, service
from yapbench.command import CHECKOUT
from yapbench.doctor.gpus import Graphics, Wheel
from yapbench.errors import UsageError
from yapbench.pod import asked, block, checks, files, keyfile, outside, running
from yapbench.pod.checks import Need
from yapbench.pod.keyfile import Key
from yapbench.service import Service

NO_GPU = Graphics()
UP = Service("echo", "up", Path("log"), pid=7, port=8000, url="http://127.0.0.1:8000")
RUNPOD = {"RUNPOD_POD_ID": "abc", "RUNPOD_PUBLIC_IP": "1.2.3.4", "RUNPOD_TCP_PORT_22": "9022"}


@pytest.mark.parametrize(
    ("model", "device", "graphics", "where"),
    [
        ("v2", "auto", GRAPHICS, "cuda:0, of which it takes about 3 GB at most"),
        ("v2", "cpu", NO_GPU, "the CPU"),
        ("tiny", "auto", NO_GPU, "the CPU"),
        ("v2", "cpu", GRAPHICS, "the CPU"),
    ],
)
def test_where_a_model_will_run(model: str, device: str, graphics: Graphics, where: str) -> None:
    assert checks.device(replace(V2, model=model, device=device), TORCH, graphics) == where


def test_a_server_of_the_light_environment_wants_no_gpu() -> None:
    assert checks.device(V2, LIGHT, NO_GPU) == "the CPU"


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_without_a_gpu_both_ways_out_are_said(device: str) -> None:
    with pytest.raises(UsageError, match="no NVIDIA driver answers") as refused:
        checks.device(replace(V2, device=device), TORCH, NO_GPU)
    assert "deploy/pod.sh smart_turn --model=tiny --device=cpu" in str(refused.value)
    assert "deploy/pod.sh smart_turn --device=cpu" in str(refused.value)


def test_an_asked_for_gpu_is_not_replaced_by_the_cpu_for_a_small_model() -> None:
    with pytest.raises(UsageError, match="--model=tiny wants a GPU"):
        checks.device(replace(V2, model="tiny", device="cuda"), TORCH, NO_GPU)


def test_a_wheel_that_the_driver_cannot_run_is_refused_before_the_start() -> None:
    old = replace(GRAPHICS, driver="550.54", cuda=(12, 4))
    with pytest.raises(UsageError, match="does not run on a GPU with this driver: it takes 580 or newer"):
        checks.device(V2, TORCH, old)
    with pytest.raises(UsageError, match="for CPUs only"):
        checks.device(V2, replace(TORCH, wheel=Wheel("2.13.0+cpu", None)), GRAPHICS)


def test_a_full_gpu_is_refused_but_to_the_server_that_fills_it() -> None:
    full = replace(GRAPHICS, cards=(replace(GRAPHICS.cards[0], free_bytes=1),))
    with pytest.raises(UsageError, match=r"deploy/pod\.sh smart_turn --model=v2 --device=cpu"):
        checks.device(V2, TORCH, full)
    assert checks.device(V2, TORCH, full, is_up=True) == "the GPU that it holds"


def test_disk_is_added_up_for_each_disk_with_numbers(tmp_path: Path) -> None:
    needs = [Need("environment torch", tmp_path / "a", 8.0), Need("weights", tmp_path / "b", 2.6)]
    assert checks.disk(needs, lambda _: 11_000_000_000).startswith("10.6 of 11.0 GB of free disk will be taken")
    with pytest.raises(UsageError, match=r"10\.6 GB are needed \(environment torch 8 GB at .*, 10\.5 GB are free"):
        checks.disk(needs, lambda _: 10_500_000_000)
    assert checks.disk([]) == "nothing is left to fetch"


def test_a_taken_port_names_its_holder_and_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {number} is held by .*pid {os.getpid()}\): --port=\d+ is free"):
            checks.port(number, "echo")
    assert checks.port(number, "echo") == f"port {number} is free"
    assert checks.port(0, "echo") == "a free port will be taken"


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No key anywhere."""
    for name in ("ECHO_KEY", "KYUTAI_API_KEY", "STATUS_KEY"):
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_key_is_made_once_and_only_its_owner_reads_it(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    echo, flags = catalog.lookup("echo"), {"host": "0.0.0.0"}
    made = keyfile.settle(echo, flags, clean / "echo")
    key = os.environ["ECHO_KEY"]
    assert made == Key("ECHO_KEY", clean / "echo" / "key.env") and len(key) >= 32
    assert made.path is not None and stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert made.path.read_text() == f"export ECHO_KEY={key}\n"
    monkeypatch.setenv("ECHO_KEY", "")
    assert keyfile.settle(echo, flags, clean / "echo") == made and os.environ["ECHO_KEY"] == key
    assert [path.name for path in (clean / "echo").iterdir()] == ["key.env"]


def test_a_given_key_is_taken_and_loopback_needs_none(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keyfile.settle(catalog.lookup("echo"), {"host": "127.0.0.1"}, clean) == Key()
    required = keyfile.settle(catalog.lookup("kyutai"), {"host": "127.0.0.1"}, clean)
    assert required.variable == "KYUTAI_API_KEY" and required.path is not None
    monkeypatch.setenv("ECHO_KEY", "mine")
    assert keyfile.settle(catalog.lookup("echo"), {"host": "0.0.0.0"}, clean / "echo") == Key("ECHO_KEY")
    assert not (clean / "echo").exists()


def test_the_block_says_the_way_in_and_never_the_key(clean: Path) -> None:
    key = keyfile.settle(catalog.lookup("echo"), {"host": "0.0.0.0"}, clean)
    text = "\n".join(block.lines(UP, "0.0.0.0", key, RUNPOD, seen_from=CHECKOUT))
    assert "https://abc-8000.proxy.runpod.net   (where 8000 is one of the pod's HTTP ports)" in text
    assert "ssh -p 9022 -N -L 8000:127.0.0.1:8000 " in text and "@1.2.3.4 " in text
    assert f". {clean}/key.env" in text and os.environ["ECHO_KEY"] not in text
    assert "  stop     .venv/bin/yapbench down echo" in text
    elsewhere = "\n".join(block.lines(UP, "127.0.0.1", Key(), {}, seen_from=Path("/")))
    assert f"  stop     {CHECKOUT}/.venv/bin/yapbench down echo" in elsewhere
    assert "outside" not in elsewhere and "none is asked for: it listens on 127.0.0.1 only" in elsewhere


def test_mapped_ports_are_told_by_runpod_and_by_vast() -> None:
    runpod = outside.ways(8000, "0.0.0.0", RUNPOD | {"RUNPOD_TCP_PORT_8000": "12345"})
    assert [way.url for way in runpod] == ["https://abc-8000.proxy.runpod.net", "http://1.2.3.4:12345"]
    (vast,) = outside.ways(8000, "0.0.0.0", {"PUBLIC_IPADDR": "5.6.7.8", "VAST_TCP_PORT_8000": "40123"})
    assert vast.url == "http://5.6.7.8:40123"
    assert outside.ways(8000, "127.0.0.1", RUNPOD) == []


def test_what_the_first_process_was_told_counts_where_a_shell_came_by_ssh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "environ").write_bytes(b"VAST_TCP_PORT_8000=40123\0HOME=/root\0PUBLIC_IPADDR=5.6.7.8\0")
    monkeypatch.setattr(outside, "FIRST_PROCESS", tmp_path / "environ")
    monkeypatch.setenv("PUBLIC_IPADDR", "9.9.9.9")
    told = outside.pod_variables()
    assert told["VAST_TCP_PORT_8000"] == "40123" and told["PUBLIC_IPADDR"] == "9.9.9.9" and "HOME" not in told


def test_a_command_line_is_checked_before_anything_is_done(clean: Path) -> None:
    found = asked.read("echo", ["--delay-ms", "3", "--ready-timeout-s=9"], run=clean)
    assert found.flags == {"delay_ms": "3", "host": "0.0.0.0", "port": "8000"}
    assert found.words == ("--delay-ms", "3") and found.ready_timeout_s == 9
    for words, said in ((["--dealy-ms=3"], "did you mean 'delay_ms'"), (["--port=70000"], "65535"), (["x"], "'x'")):
        with pytest.raises(UsageError, match=said):
            asked.read("echo", words, run=clean)
    with pytest.raises(UsageError, match="did you mean 'kyutai'"):
        asked.read("kyuti", [], run=clean)


def test_other_flags_other_code_and_other_keys_are_told_from_the_same(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = asked.read("echo", ["--seed=7"], run=clean)
    wanted.folder.mkdir()
    monkeypatch.setattr(probe, "fetch", lambda _: (200, b""))
    monkeypatch.setattr(service, "settings_of", lambda *_, **__: {"seed": "8", "host": "0.0.0.0", "port": "8000"})
    assert running.reason(wanted, UP) == "other flags: seed 8 -> 7"
    monkeypatch.setattr(service, "settings_of", lambda *_, **__: wanted.flags)
    assert running.reason(wanted, UP) == "its code or its environment is another one by now"  # nobody remembered
    running.remember(wanted)
    assert running.reason(wanted, UP) == ""
    monkeypatch.setenv("ECHO_KEY", "another")
    assert running.reason(wanted, UP) == "other keys"
    assert "another" not in (wanted.folder / running.MADE_OF).read_text()
    assert running.reason(wanted, replace(UP, state="starting")) == "a start was broken off"


def test_the_limit_of_open_files_is_raised_and_said() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        said = files.raise_limit()
        now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert said.startswith(f"open files: 256 -> {now}") and now > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
