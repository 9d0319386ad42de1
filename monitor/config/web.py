"""The page for the phone and the alerts of the night, as a user configures them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    model_validator,
)

from monitor.config.sources import File, Text
from monitor.errors import InputError
from monitor.text import clean

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8030

_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class WebAddress:
    """The address at which the page is served. ``host`` is an IP address."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def is_any(self) -> bool:
        """True if it stands for every address of this machine: 0.0.0.0 or ::."""
        return ipaddress.ip_address(self.host).is_unspecified

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> WebAddress:
    """Return the address in ``text``: HOST, PORT, HOST:PORT, or "" for this machine alone.

    Raises ValueError, with the rule.
    """
    rule = ValueError(
        f"'{clean(text, 60)}' is no address of the page: write 0.0.0.0 (every address of this "
        "machine), 192.168.1.5, 192.168.1.5:8030, [::1]:8030, a port, or localhost"
    )
    host, port = text.strip(), str(DEFAULT_PORT)
    if re.fullmatch("[0-9]{1,5}", host):
        host, port = "", host
    elif host.count(":") < 2 or host.startswith("["):
        found = _ADDRESS.fullmatch(host)
        if found is None:
            raise rule
        host = found["v6"] if found["v6"] is not None else found["host"]
        port = found["port"] or port
    host = DEFAULT_HOST if host in ("", "localhost") else host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise rule from None
    if not 1 <= int(port) <= 65535:
        raise ValueError(f"port {port} of the page must be 1 to 65535")
    return WebAddress(str(address), int(port))


def web_address(text: str) -> WebAddress:
    """Return the address that the command line names. Raises `InputError`."""
    try:
        return parse_address(text)
    except ValueError as exc:
        raise InputError(f"--web: {exc}") from None


def _address(text: str) -> str:
    parse_address(text)
    return text


def _host_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name):
        raise ValueError("must be names of hosts, such as sleep.example.org, without a port")
    return name.lower()


class WebConfig(BaseModel):
    """The page for the phone.

    - ``address``: see `parse_address`. If it is set, every live night has the page.
    - ``hosts``: further names of this machine, as a browser writes them into its address line:
      those of a proxy, or of the machine around a container.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Annotated[str, AfterValidator(_address)] | None = None
    hosts: tuple[
        Annotated[str, StringConstraints(max_length=253), AfterValidator(_host_name)], ...
    ] = ()


class AlertConfig(BaseModel):
    """The word at 3 am: when it is given, and how.

    - ``after``: seconds for which a trouble must last.
    - ``again``: seconds after which the same kind of trouble of one sleeper may be reported again.
    - ``command``: a program and its arguments, run without a shell; ``{text}`` in an argument
      becomes the sentence.
    - ``sound``: a sound file. ``desktop``: a notification on this machine's screen.
    - ``mqtt``, ``http``: a message to the broker of `[mqtt]`, a post to the URL of `[http]`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: Annotated[FiniteFloat, Field(ge=5, le=3600)] = 120.0
    again: Annotated[FiniteFloat, Field(ge=60, le=86400)] = 1800.0
    command: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    sound: File | None = None
    desktop: bool = False
    mqtt: bool = False
    http: bool = False

    @model_validator(mode="after")
    def _has_a_way(self) -> Self:
        if not (self.command or self.sound or self.desktop or self.mqtt or self.http):
            raise ValueError(
                'names no way to tell you: set command = [...], sound = "FILE", or desktop, mqtt '
                "or http = true"
            )
        return self


TABLES: Mapping[str, type[BaseModel]] = {"web": WebConfig, "alert": AlertConfig}
"""The tables of the TOML file beside `[[sleeper]]`."""
