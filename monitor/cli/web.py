"""`sleep-monitor web`, and the option --web of commands that stage a night live."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from monitor.cli.flags import ServerFlags, takes
from monitor.cli.sources import settings_of
from monitor.cli.stopping import stop
from monitor.errors import InputError

OPTION = "--web"
"""The option of `live`, whose value may be left out: Typer has no such option of its own."""


def check_web_packages() -> None:
    """Raise `InputError` if the packages of the extra `web` are not installed."""
    try:
        import segno  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as exc:
        raise InputError(
            f"the page needs {exc.name}: run pip install '.[web]' in the monitor's source folder"
        ) from None


def _with_default(arguments: list[str]) -> list[str]:
    """Return ``arguments`` with the default after each --web that has no value."""
    return [
        f"{OPTION}=" if argument == OPTION and after.startswith("-") else argument
        for argument, after in pairwise([*arguments, "-"])
    ]


class WebCommand(TyperCommand):
    """A command whose option --web may stand without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_default(args))


class WebGroup(TyperGroup):
    """A group of commands whose option --web may stand without a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _with_default(args))


@takes(ServerFlags)
def web(
    flags: ServerFlags,
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="HOST, PORT or HOST:PORT. 0.0.0.0: for the phones in this network. Default: "
            "address in the table [web], else 127.0.0.1:8030, this machine alone.",
        ),
    ] = "",
    link: Annotated[
        bool,
        typer.Option("--link", help="Print the link and its QR code, for a page that is served."),
    ] = False,
    beside: Annotated[bool, typer.Option("--beside", hidden=True)] = False,
    host: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
) -> None:
    """Serve the page for the phone beside a running night, until Ctrl-C.

    Beyond this machine the page needs a token: the link and the QR code hold it.

    Example: sleep-monitor web 0.0.0.0
    """
    check_web_packages()
    import sys

    from monitor.clock import SystemClock
    from monitor.sinks.redis_server import DEFAULT_URL
    from monitor.web.link import print_link
    from monitor.web.server import run_web

    settings = settings_of(flags)
    place = settings.web_address(address)
    if link:
        print_link(place, sys.stdout, asked=True)
        return
    if settings.no_redis:
        raise InputError("the page reads the events: name their server with --redis URL")
    run_web(
        place,
        settings.redis_url or DEFAULT_URL,
        SystemClock(),
        stop,
        hosts=host or settings.web.hosts,
        beside=beside,
    )
