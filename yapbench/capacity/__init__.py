"""The largest number of simultaneous streams that keep to a target: which levels to probe, and what they show. Pure."""

from yapbench.capacity.answer import Answer, Verdict, answer_of
from yapbench.capacity.observation import Observation, observations_of, observe
from yapbench.capacity.options import SearchOptions
from yapbench.capacity.search import Search
from yapbench.capacity.steps import Probe

__all__ = [
    "Answer",
    "Observation",
    "Probe",
    "Search",
    "SearchOptions",
    "Verdict",
    "answer_of",
    "observations_of",
    "observe",
]
