"""Which servers fit: environments, weights, ports and GPU memory, from made-up answers and a real port."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.yapbench.doctor_probes import GRAPHICS, LIGHT, TORCH, V2, V3, WELL
from yapbench import catalog, doctor
from yapbench.doctor import environments, models, ports
from yapbench.doctor.environments import Place
from yapbench.doctor.gpus import Graphics, Holder, Wheel
from yapbench.doctor.models import Candidate
from yapbench.doctor.ports import Port
from yapbench.errors import ExitCode

UP = "yapbench up smart_turn --model=v2 --device="
CHANGE = "change that setting in the environment or in .env"
ABSENT = replace(TORCH, is_complete=False, wheel=None)


def cards(*free_gb: float) -> Graphics:
    card = GRAPHICS.cards[0]
    return replace(GRAPHICS, cards=tuple(replace(card, free_bytes=int(gb * 1e9)) for gb in free_gb))


def test_an_environment_that_is_not_made_says_what_it_takes_and_how_it_is_made() -> None:
    (finding,) = environments.findings([ABSENT])
    assert not finding.ok and not finding.needed
    assert "torch (smart_turn --model=v2) is not made: takes about 8 GB (a guess); 50.0 GB are free" in finding.what
    assert finding.remedy == "yapbench install smart_turn --model=v2"


def test_half_an_environment_is_called_so() -> None:
    (finding,) = environments.findings([replace(ABSENT, is_half_made=True)])
    assert "is half made" in finding.what


@given(free_gb=st.floats(0, 20), need_gb=st.floats(0, 20))
def test_too_small_a_disk_sends_the_environment_elsewhere(free_gb: float, need_gb: float) -> None:
    place = replace(ABSENT, free_bytes=int(free_gb * 1e9), disk_gb=need_gb)
    (finding,) = environments.findings([place])
    short = place.free_bytes < need_gb * 1e9
    assert finding.what.endswith(", too little") == short
    assert finding.remedy.startswith("YAPBENCH_ENVS=") == short
    assert replace(place, is_complete=True).has_room


def test_the_harness_lacking_a_servers_package_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    place = replace(LIGHT, is_complete=False, missing=("soxr",))
    found = doctor.findings(replace(WELL, environments=(place, TORCH)))
    assert [one.remedy for one in found if not one.ok] == ["make setup"] * 3
    assert doctor.report(found) == ExitCode.USAGE
    assert "lacks soxr" in capsys.readouterr().out


def test_free_disk_is_that_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    assert environments.free_at(tmp_path / "not" / "yet") > 0


def test_an_environment_on_disk_is_found_with_its_pytorch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YAPBENCH_ENVS", str(tmp_path))
    (absent,) = (place for place in environments.look() if place.name == "torch")
    assert not absent.is_complete and absent.wheel is None and absent.free_bytes > 0
    torch = absent.path / "lib" / "python3.12" / "site-packages" / "torch"
    torch.mkdir(parents=True)
    (torch / "version.py").write_text("__version__ = '2.13.0+cpu'\ncuda = None\n")
    (absent.path / ".complete").touch()
    (found,) = (place for place in environments.look() if place.name == "torch")
    assert found.is_complete and found.wheel == Wheel("2.13.0+cpu", None)


def test_weights_that_can_be_fetched_are_a_note_and_those_of_the_default_model_are_needed() -> None:
    v2, v3 = replace(V2, weights="", lack="not here"), replace(V3, weights="", lack="not here")
    of_v2, of_v3 = models.weights_findings([v2, v3])
    assert not of_v2.needed and of_v2.remedy == "yapbench fetch smart_turn --model=v2"
    assert of_v3.needed and of_v3.remedy == "pip install x"


def test_a_server_without_weights_has_no_line_among_them() -> None:
    assert models.weights_findings([Candidate(server="echo")]) == []


@pytest.mark.parametrize(
    ("one", "place", "graphics", "says", "remedy"),
    [
        (V3, LIGHT, Graphics(), "smart_turn --model=v3-onnx: ready, on the CPU", ""),
        (V2, TORCH, Graphics(), "ready, on the CPU", ""),
        (V2, TORCH, GRAPHICS, "ready, on cuda:0, of which it takes about 3 GB", ""),
        (V2, replace(TORCH, wheel=Wheel("2", None)), GRAPHICS, "ready, on the CPU", ""),
        (V2, TORCH, replace(GRAPHICS, cuda=(12, 2)), "ready, on the CPU", ""),
        (replace(V2, device="cpu"), TORCH, cards(0.1), "ready, on the CPU", ""),
        (replace(V2, device="cuda:1"), TORCH, cards(0.1, 9), "ready, on cuda:1", ""),
        (V2, ABSENT, GRAPHICS, "needs environment torch", "yapbench install smart_turn --model=v2"),
        (V2, TORCH, cards(1), "needs about 3 GB of GPU memory (cuda:0 has 1.0", UP + "cpu"),
        (V2, TORCH, cards(1, 9), "(cuda:0 has 1.0 GB free)", UP + "cuda:1"),
        (replace(V2, device="cuda"), TORCH, Graphics(), "a GPU for --device=cuda", UP + "auto"),
        (replace(V2, device="cuda:3"), TORCH, GRAPHICS, "a GPU for --device=cuda:3", UP + "auto"),
        (replace(V3, refused="--device: no"), LIGHT, GRAPHICS, "refused: --device: no", CHANGE),
    ],
)  # fmt: skip
def test_each_way_of_fitting_or_not(one: Candidate, place: Place, graphics: Graphics, says: str, remedy: str) -> None:
    finding = models.fit(one, place, graphics)
    assert says in finding.what and finding.remedy == remedy and finding.ok == (not remedy) and not finding.needed


def test_a_device_that_is_not_there_is_named_by_the_servers_own_variable() -> None:
    one = models.look_at(catalog.lookup("fastconformer"), "tiny", 1.0)
    assert "a GPU for --device=cuda:0 (ASR_DEVICE)" in models.fit(one, TORCH, Graphics()).what


BESIDE = replace(ABSENT, name="vllm", servers=(("voxtral", ""),))
ENGINE = Candidate(server="voxtral", model="tiny", beside=("vllm",), device_variable="", vram_gb=2.0)


def test_a_server_with_a_process_in_another_environment_needs_both() -> None:
    finding = models.fit(ENGINE, LIGHT, GRAPHICS, beside=[BESIDE])
    assert finding.what == "voxtral --model=tiny: needs environment vllm"
    assert finding.remedy == "yapbench install voxtral"
    made = replace(BESIDE, is_complete=True, wheel=Wheel("2.13.0+cu130", (13, 0)))
    assert "ready, on cuda:0" in models.fit(ENGINE, LIGHT, GRAPHICS, beside=[made]).what
    assert "ready, on the CPU" in models.fit(
        ENGINE, LIGHT, GRAPHICS, beside=[replace(made, wheel=Wheel("2.13.0+cpu", None))]
    ).what  # fmt: skip


def test_a_server_without_a_device_setting_is_shown_another_gpu() -> None:
    made = replace(BESIDE, is_complete=True)
    finding = models.fit(ENGINE, LIGHT, cards(1, 9), beside=[made])
    assert finding.remedy == "CUDA_VISIBLE_DEVICES=1 yapbench up voxtral --model=tiny"
    assert "nvidia-smi" in models.fit(ENGINE, LIGHT, cards(1), beside=[made]).remedy


def test_environments_that_servers_have_processes_in_are_looked_at() -> None:
    found = {place.name: place for place in environments.look()}
    for entry in catalog.CATALOG:
        for name, variable in entry.beside:
            assert (entry.name, "") in found[name].servers and variable.isupper()


def test_all_that_a_model_lacks_is_one_command() -> None:
    finding = models.fit(replace(V2, weights="", lack="not here"), ABSENT, Graphics())
    assert finding.what == "smart_turn --model=v2: needs environment torch and its weights"
    assert finding.remedy == "yapbench install smart_turn --model=v2 && yapbench fetch smart_turn --model=v2"


def test_who_holds_the_memory_is_said_where_it_is_short() -> None:
    card = replace(cards(1).cards[0], holders=(Holder(9, 70 * 10**9, "vllm"),))
    assert "vllm (pid 9) holds 70.0 GB" in models.fit(V2, TORCH, replace(GRAPHICS, cards=(card,))).what


@given(
    free_gb=st.lists(st.floats(0, 80), max_size=3),
    device=st.sampled_from(["auto", "cpu", "cuda", "cuda:1"]),
    wheel=st.sampled_from([None, Wheel("2", None), Wheel("2", (12, 8)), Wheel("2", (14, 0))]),
    made=st.booleans(),
    lack=st.sampled_from(["", "not here"]),
)
def test_what_does_not_fit_says_what_to_do_and_what_fits_does_not(
    free_gb: list[float], device: str, wheel: Wheel | None, made: bool, lack: str
) -> None:
    place = replace(TORCH, is_complete=made, wheel=wheel if made else None)
    finding = models.fit(replace(V2, device=device, lack=lack), place, cards(*free_gb))
    assert finding.ok == (not finding.remedy)
    assert not finding.ok or (made and not lack)


@pytest.mark.parametrize("entry", catalog.CATALOG, ids=lambda entry: entry.name)
def test_every_model_of_the_catalogue_is_one_its_server_takes(
    entry: catalog.CatalogEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEVICE", raising=False)
    found = [models.look_at(entry, model, vram_gb) for model, vram_gb in entry.models]
    assert [one.refused for one in found] == [""] * len(entry.models)
    assert {one.environment for one in found} <= {place.name for place in environments.look()}


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        ("v3-onnx", "pip install --no-deps"),
        ("v2", "yapbench fetch smart_turn --model=v2"),
        ("tiny", "git restore servers/smart_turn/tiny"),
    ],
)
def test_each_model_is_had_in_its_own_way(model: str, remedy: str) -> None:
    assert models.look_at(catalog.lookup("smart_turn"), model, 0.0).remedy.startswith(remedy)


def test_a_setting_that_refuses_a_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE", "cuda")
    assert "runs on the CPU only" in models.look_at(catalog.lookup("smart_turn"), "v3-onnx", 0.0).refused


@pytest.mark.parametrize(
    ("change", "ok", "says", "remedy"),
    [
        ({"is_free": True}, True, "port 8000 (echo) is free", ""),
        ({"ours": "echo"}, True, "held by our echo, which is up", ""),
        ({"holder": "nginx (pid 5)", "spare": 8002}, False, "held by nginx (pid 5)", "yapbench up echo --port=8002"),
        ({"spare": 8001}, False, "is held", "yapbench up echo --port=8001"),
        ({}, False, "is held", "ss -ltnp shows who holds it"),
    ],
)
def test_a_port_is_free_ours_or_anothers(change: dict[str, Any], ok: bool, says: str, remedy: str) -> None:
    (finding,) = ports.findings([replace(Port(number=8000, servers=("echo",), is_free=False), **change)])
    assert finding.ok == ok and finding.what.endswith(says) and finding.remedy == remedy and not finding.needed


def test_who_listens_on_a_port_is_found_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        port = ports.look_at(number, ["echo"])
    assert not port.is_free and f"(pid {os.getpid()})" in port.holder
    assert ports.look_at(number, ["echo"]).is_free


def test_a_machine_without_a_gpu_and_a_torch_environment_is_whole_but_for_notes() -> None:
    found = doctor.findings(replace(WELL, graphics=Graphics(), environments=(LIGHT, ABSENT)))
    bad = [one for one in found if not one.ok]
    assert [one.heading for one in bad] == ["environments", "servers that fit this machine"]
    assert {one.remedy for one in bad} == {"yapbench install smart_turn --model=v2"}
    assert doctor.report(found) == ExitCode.OK
