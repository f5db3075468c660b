"""The figures of a sweep, one function each: points in, a `Figure` out; the same in notebooks and on pages.

They take their titles from `captions` and compute no number of their own.
"""

from yapbench.plots.bars import batch_sizes, queue_and_inference
from yapbench.plots.cells import heat_map
from yapbench.plots.clips import turn_probabilities
from yapbench.plots.curves import latency_by_level, throughput_by_level
from yapbench.plots.engines import engines_compared
from yapbench.plots.lines import highlighted
from yapbench.plots.timeline import resources_over_time

__all__ = [
    "batch_sizes",
    "engines_compared",
    "heat_map",
    "highlighted",
    "latency_by_level",
    "queue_and_inference",
    "resources_over_time",
    "throughput_by_level",
    "turn_probabilities",
]
