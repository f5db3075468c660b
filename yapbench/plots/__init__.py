"""The figures of a sweep, one function each: points or a trial in, a `Figure` out; the same in notebooks and on pages.

They take their titles from `captions` and compute no number of their own.
"""

from yapbench.plots.bars import batch_sizes, queue_and_inference
from yapbench.plots.cells import heat_map
from yapbench.plots.clips import turn_probabilities
from yapbench.plots.cost import cost_by_level, energy_by_level
from yapbench.plots.curves import latency_by_level, throughput_by_level
from yapbench.plots.decomposition import parts_of_final
from yapbench.plots.delay import times_by_delay
from yapbench.plots.ecdf import ecdf
from yapbench.plots.emission import emission_by_level, emission_by_setting
from yapbench.plots.engines import engines_compared
from yapbench.plots.flicker import flicker_by_level
from yapbench.plots.lateness import frame_lateness
from yapbench.plots.lines import highlighted
from yapbench.plots.look_ahead import look_ahead_trade
from yapbench.plots.outcomes import failures_by_type
from yapbench.plots.pareto import pareto_front
from yapbench.plots.ramp import costs_by_level
from yapbench.plots.sessions import session_timeline
from yapbench.plots.soak import MOST_SOAKS, latency_over_time
from yapbench.plots.streams import answers_by_level, eos_by_level, rtfx_by_level, ttfp_by_level
from yapbench.plots.timeline import resources_over_time
from yapbench.plots.wer import wer_by_level, word_errors

__all__ = [
    "MOST_SOAKS",
    "answers_by_level",
    "batch_sizes",
    "cost_by_level",
    "costs_by_level",
    "ecdf",
    "emission_by_level",
    "emission_by_setting",
    "energy_by_level",
    "engines_compared",
    "eos_by_level",
    "failures_by_type",
    "flicker_by_level",
    "frame_lateness",
    "heat_map",
    "highlighted",
    "latency_by_level",
    "latency_over_time",
    "look_ahead_trade",
    "pareto_front",
    "parts_of_final",
    "queue_and_inference",
    "resources_over_time",
    "rtfx_by_level",
    "session_timeline",
    "throughput_by_level",
    "times_by_delay",
    "ttfp_by_level",
    "turn_probabilities",
    "wer_by_level",
    "word_errors",
]
