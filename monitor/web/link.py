"""The link that opens the page, with its token, and the same as a QR code for a terminal."""

from __future__ import annotations

import io
import ipaddress
import os
import re
import secrets
import socket
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from monitor.config import WebAddress, default_web_token, private_folder
from monitor.errors import InputError

TOKEN_BYTES = 32
"""256 random bits: nobody guesses them."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def token_for(address: WebAddress) -> str | None:
    """Return the token that requests at ``address`` need; None on loopback."""
    return None if address.is_loopback else kept_token(default_web_token())


def print_link(address: WebAddress, out: IO[str], *, asked: bool = False) -> None:
    """Print how to open the page: the link, and beyond this machine a QR code for a phone.

    The token goes to a terminal, and elsewhere only if the user ``asked`` for it: a service's
    output is kept in a journal that others may read.
    """
    token = token_for(address)
    if token is not None and not (asked or out.isatty()):
        print(
            f"The page: {link_of(address, None)} (its link and QR code: sleep-monitor web "
            f"{address} --link)",
            file=out,
        )
        return
    link = link_of(address, token)
    print(f"The page: {link}", file=out)
    if token is not None and out.isatty():
        # A terminal may lack the letters of the code.
        with suppress(UnicodeEncodeError):
            print(qr_code(link), file=out)


def kept_token(path: Path) -> str:
    """Return the token in the file ``path``; make the file if it is not there.

    The token stays, so that a phone's bookmark opens the page every night. Whoever deletes the file
    gets a new token at the next start, and no old link opens the page any more. Only the user can
    read the file. Raises `InputError` if that cannot be.
    """
    try:
        private_folder(path.parent)
        with suppress(FileExistsError):
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(TOKEN_BYTES))
        token = path.read_text(encoding="ascii", errors="replace").strip()
        private = os.name != "posix" or not path.stat().st_mode & 0o077
    except OSError as exc:
        raise InputError(f"cannot keep the page's token in {path}: {exc.strerror}") from exc
    if not _TOKEN.fullmatch(token):
        raise InputError(f"{path} holds no token of the page: delete it, and a new one is made")
    if not private:
        raise InputError(
            f"other users may read the page's token: delete {path}, and a new one is made"
        )
    return token


def link_of(address: WebAddress, token: str | None) -> str:
    """Return the URL that opens the page, on a phone in the same network."""
    host = _reachable(address) if address.is_any else address.host
    place = WebAddress(host, address.port)
    return f"http://{place}/" + (f"?token={token}" if token else "")


def _reachable(address: WebAddress) -> str:
    """Return this machine's address in the local network, as far as it can be known."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # A UDP socket that is connected sends nothing, and has the address that packets would have.
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(("2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1", 9))
        return str(probe.getsockname()[0])
    for found in psutil.net_if_addrs().values():
        for each in found:
            with suppress(ValueError):
                ip = ipaddress.ip_address(each.address)
                if each.family == family and not (ip.is_loopback or ip.is_link_local):
                    return str(ip)
    return socket.gethostname()


def qr_code(link: str) -> str:
    """Return ``link`` as a QR code, drawn with letters for a dark or a light terminal."""
    import segno

    drawn = io.StringIO()
    segno.make(link, error="l", micro=False).terminal(drawn, border=2, compact=True)
    return drawn.getvalue()
