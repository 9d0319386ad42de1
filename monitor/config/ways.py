"""The ways out beside Redis: the tables `[mqtt]`, `[http]`, `[osc]` and `[lsl_out]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from monitor.config.sources import Text

Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=1000)]
"""A text that is never printed, whatever prints the settings."""


def _host(host: str) -> str:
    if any(letter in host for letter in "/@ ") or host.count(":") == 1:
        raise ValueError(
            "must be the name or the address of a host alone, without a scheme or a port"
        )
    return host


def _topic(topic: str) -> str:
    parts = topic.split("/")
    if any(letter in topic for letter in "+# ") or topic.startswith("$") or "" in parts:
        raise ValueError("must be words with / between them, without +, # and blanks")
    return topic


def _url(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an address that is none
        sound = False
    if not (sound and text.isascii() and text.isprintable() and " " not in text):
        raise ValueError(
            "is not valid: write http://HOST[:PORT]/PATH or https://..., in ASCII, on one line"
        )
    if parts.username is not None:
        raise ValueError("must hold no user and no password: secret = ... signs the posts instead")
    return url


Host = Annotated[Text, AfterValidator(_host)]


class MqttConfig(BaseModel):
    """An MQTT broker.

    - ``topic``: the first words of every topic.
    - ``discovery``: Home Assistant's discovery prefix; "" announces nothing to Home Assistant.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Host
    port: Port = 1883
    username: Text | None = None
    password: Secret | None = None
    tls: bool = False
    topic: Annotated[Text, AfterValidator(_topic)] = "sleep-monitor"
    discovery: Annotated[
        str, StringConstraints(max_length=200), AfterValidator(lambda text: text and _topic(text))
    ] = "homeassistant"

    @model_validator(mode="after")
    def _login(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("password needs a username beside it")
        return self


class HttpConfig(BaseModel):
    """A webhook. ``revised``: also post the predictions of the revised track.

    The URL counts as a secret: whoever has that of a webhook can often post to it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[Secret, AfterValidator(_url)]
    secret: Secret | None = None
    revised: bool = False


class OscConfig(BaseModel):
    """A program that listens to OSC by UDP."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Host = "127.0.0.1"
    port: Port


class LslOutConfig(BaseModel):
    """LSL streams of stages and probabilities. ``name``: the first word of their names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[Text, StringConstraints(max_length=60)] = "sleep-monitor"


@dataclass(frozen=True, slots=True)
class WayOptions:
    """The ways out of a run; None: not that way."""

    mqtt: MqttConfig | None = None
    http: HttpConfig | None = None
    osc: OscConfig | None = None
    lsl_out: LslOutConfig | None = None


NO_WAYS = WayOptions()
"""The ways of a run that has none but Redis."""

WAYS: Mapping[str, type[BaseModel]] = {
    "mqtt": MqttConfig,
    "http": HttpConfig,
    "osc": OscConfig,
    "lsl_out": LslOutConfig,
}
"""The table of each way in the TOML file."""

SECRETS = {"MQTT_PASSWORD": ("mqtt", "password"), "HTTP_SECRET": ("http", "secret")}
"""The key of a table that an environment variable (without its prefix) holds."""
