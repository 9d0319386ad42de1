"""Makes a page of the report room dark on every screen: `dark_page`."""

from __future__ import annotations

from monitor.report.colours import DARK_SCREEN


def dark_page(page: str) -> bytes:
    """Return ``page`` as bytes, dark whatever the reader's theme is; printed, it stays light.

    Such a page follows the phone's own theme. At 3 am a light one would be a flash.
    """
    return page.replace(DARK_SCREEN, "@media screen").encode()
