"""Keys of a server that the harness starts: what is set for it, and one that is made where it needs one and has none.

A made key lives in this process and in the environments of the server and its clients; it is written nowhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from servers.common.settings import BaseServerSettings, table

_BYTES = 24


@dataclass(frozen=True)
class Keys:
    """By environment variable."""

    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    """As flags, environment, .env or a file of the server's have them."""
    made: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the server needs and nobody has set."""

    @property
    def all(self) -> dict[str, str]:
        """What a client needs."""
        return {**self.given, **self.made}

    def words(self) -> list[str]:
        """The made ones, as another shell needs them: the only place where they are shown."""
        return [f"no key was set; for its clients: export {name}={key}" for name, key in sorted(self.made.items())]


def for_start(settings: BaseServerSettings) -> Keys:
    """The keys of a server that is about to be started with `settings`."""
    variables = {knob.name: knob.env[0] for knob in table(type(settings)) if knob.secret}
    values = {name: getattr(settings, name) for name in variables}
    given = {variables[name]: value.get_secret_value() for name, value in values.items() if value is not None}
    needed = (variables[name] for name in type(settings).required_secrets)
    made = {variable: secrets.token_urlsafe(_BYTES) for variable in needed if not given.get(variable)}
    return Keys(given, made)
