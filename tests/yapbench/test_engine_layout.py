"""What a run asks Ray for: enough that no neighbour can come onto its CPUs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench.engines.ray_layout import Node, Share, gpus_of_run, is_alone, share
from yapbench.errors import UsageError

NODES = st.lists(st.builds(Node, cpus=st.integers(1, 256), gpus=st.integers(0, 8)), min_size=1, max_size=6)


@given(nodes=NODES)
def test_two_runs_on_the_cpu_never_fit_on_one_node(nodes: list[Node]) -> None:
    taken = share(nodes, gpus=0, cpus_asked=None)
    assert all(node.cpus < 2 * taken.cpus for node in nodes) and is_alone(nodes, taken)
    assert any(node.cpus >= taken.cpus for node in nodes)


@given(nodes=NODES, gpus=st.integers(1, 8))
def test_as_many_runs_fit_on_a_node_as_its_gpus_carry(nodes: list[Node], gpus: int) -> None:
    able = [node for node in nodes if node.gpus >= gpus]
    if not able:
        with pytest.raises(UsageError):
            gpus_of_run(nodes, gpus)
        return
    taken = share(nodes, gpus=gpus_of_run(nodes, gpus), cpus_asked=None)
    assert all(taken.cpus * (node.gpus // gpus) <= node.cpus for node in able)


def test_a_gpu_is_the_default_only_where_there_is_one() -> None:
    assert gpus_of_run([Node(8, 0)], None) == 0 and gpus_of_run([Node(8, 0), Node(8, 4)], None) == 1
    assert gpus_of_run([Node(8, 4)], 0) == 0


def test_cpus_asked_for_are_taken_at_their_word_and_may_disturb() -> None:
    assert share([Node(8, 0)], gpus=0, cpus_asked=2) == Share(2, 0)
    assert not is_alone([Node(8, 0)], Share(2, 0))
    with pytest.raises(UsageError, match="--cpus-per-run=9: from 0 to 8"):
        share([Node(8, 0)], gpus=0, cpus_asked=9)
    with pytest.raises(UsageError, match="needs at least one worker node"):
        share([Node(0, 0)], gpus=0, cpus_asked=None)
