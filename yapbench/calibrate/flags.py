"""The flags of the verb `calibrate`. Light: the command line imports it for its help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Flags:
    """What to run and where to say it."""

    seconds: Annotated[
        float | None, Parameter(help="Of each run, once everybody speaks. Default: 6, about four minutes in all.")
    ] = None
    full: Annotated[bool, Parameter(negative="", help="Runs of 60 s, as the bars say.")] = False
    quick: Annotated[
        bool, Parameter(negative="", help="A few short cases, under half a minute in all; the certificate says so.")
    ] = False
    json: Annotated[bool, Parameter(negative="", help="Print the certificate as JSON instead of a table.")] = False
    output: Annotated[Path | None, Parameter(help="A file to write it to as well.")] = None
