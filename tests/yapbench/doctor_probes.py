"""A machine that lacks nothing, as the doctor sees it; tests take something away from it."""

from __future__ import annotations

from pathlib import Path

from yapbench.doctor import Probes
from yapbench.doctor.environments import Place
from yapbench.doctor.gpus import Card, Graphics, Wheel
from yapbench.doctor.machine import Machine
from yapbench.doctor.models import Candidate
from yapbench.doctor.ports import Port

GRAPHICS = Graphics(
    cards=(Card(name="H1", total_bytes=80_000_000_000, free_bytes=79_000_000_000),),
    driver="580.65",
    cuda=(13, 0),
    has_device=True,
)
LIGHT = Place(name="light", servers=(("smart_turn", ""), ("echo", "")), path=Path(), is_complete=True)
TORCH = Place(
    name="torch",
    servers=(("smart_turn", "--model=v2"),),
    path=Path("/envs/torch-1"),
    is_complete=True,
    disk_gb=8.0,
    is_measured=False,
    free_bytes=50_000_000_000,
    wheel=Wheel("2.13.0+cu130", (13, 0)),
)
V3 = Candidate(server="smart_turn", model="v3-onnx", weights="/wheel/v3.onnx", remedy="pip install x")
V2 = Candidate(
    server="smart_turn",
    model="v2",
    environment="torch",
    vram_gb=3.0,
    weights="/hub/v2",
    remedy="yapbench fetch smart_turn --model=v2",
    comes_along=False,
)
WELL = Probes(
    machine=Machine(
        platform="linux",
        python=(3, 12),
        has_venv=True,
        free_bytes=50_000_000_000,
        checkout=Path("/home/me/checkout"),
        writable=True,
        free_ports=100,
        cpus=8,
        missing_modules=(),
        tools={"flite": True, "espeak-ng": True, "chromium": True},
        open_files=(65_536, 65_536),
        shared_bytes=8_000_000_000,
    ),
    graphics=GRAPHICS,
    environments=(LIGHT, TORCH),
    models=(V3, V2, Candidate(server="echo")),
    ports=(Port(number=8000, servers=("smart_turn", "echo"), is_free=True),),
)
