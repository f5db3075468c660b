"""The report of a sweep: one offline HTML page, and the site of published ones.

Raw rows in, pages out; nothing is measured or stored but pages, summaries and copies.
"""

from yapbench.report.build import any_valid, build
from yapbench.report.publish import publish

__all__ = ["any_valid", "build", "publish"]
