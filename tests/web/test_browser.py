"""The page in a real browser: a night, marks, two tabs, a server that goes, a phone that sleeps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from monitor.clock import SystemClock
from monitor.config import WebAddress
from monitor.night.state import SleeperState
from monitor.sinks.redis_server import RedisServer
from monitor.types import Contact
from monitor.web.server import serve
from tests.live.processes import Program, environment, query, wait_for
from tests.nights import EXCERPT
from tests.report.stored_night import store_stages
from tests.sinks.night_example import night_state
from tests.web.browser import Tab, phone, started_browser
from tests.web.peers import TOKEN, Page, PublishedNight, answering, contacts, key_of, served

pytestmark = pytest.mark.browser

EPOCHS = "document.querySelectorAll('.stages rect').length"
"""The bars of the hypnogram: one for each run of equal stages."""


SEE = """
Object.defineProperty(document, 'visibilityState', {value: '%s', configurable: true});
document.dispatchEvent(new Event('visibilitychange'));
"""
"""Hides the page, or shows it again, as a browser does when the user changes the tab."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from started_browser()


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    context = phone(browser)
    yield context
    context.close()


@pytest.fixture
def night(server: RedisServer) -> Iterator[PublishedNight]:
    with PublishedNight(server.url) as night:
        yield night


def url(page: Page) -> str:
    return f"http://127.0.0.1:{page.port}/"


def test_a_stage_comes_to_the_open_page(context: Any, page: Page, night: PublishedNight) -> None:
    night.stages("WW12")
    tab = Tab(context, url(page))
    tab.wait_for_text(".word", "Light")
    tab.wait(f"{EPOCHS} >= 2")
    night.stages("333")
    tab.wait_for_text(".word", "Deep")
    tab.wait(f"{EPOCHS} >= 3")
    assert tab.errors == []


def test_a_stage_that_comes_while_the_night_is_loaded_is_not_lost(
    context: Any, page: Page, night: PublishedNight
) -> None:
    def late(route: Any) -> None:
        answer = route.fetch()
        night.stages("3")
        time.sleep(1.0)  # the event is there before the night
        route.fulfill(response=answer)

    night.stages("22")
    context.route("**/api/v1/sessions/*", late, times=1)
    tab = Tab(context, url(page))
    tab.wait_for_text(".word", "Deep")
    tab.wait(f"{EPOCHS} === 2")
    night.stages("R")
    tab.wait(f"{EPOCHS} === 3")
    assert tab.errors == []


def test_an_electrode_that_falls_off_is_red_on_the_head(
    context: Any, page: Page, night: PublishedNight, server: RedisServer
) -> None:
    night.stages("22")
    seen = replace(night_state(), session=night.session, channels=contacts(), ended=False)
    with key_of(server.url, SleeperState("", "streaming", seen)) as key:
        tab = Tab(context, url(page))
        tab.wait("document.querySelectorAll('.head circle.good').length === 4")
        off = replace(seen, channels=contacts(AF7=Contact.OFF))
        key.update([SleeperState("", "streaming", off)], {})
        tab.wait("document.querySelectorAll('.head circle.off').length === 1")
        tab.wait_for_text(".trouble", "Electrode AF7 is off: press it on")
    assert "AF7 off" in tab.page.locator(".head").get_attribute("aria-label")
    assert tab.errors == []


def test_marks_of_two_tabs_are_recorded_once_each(
    context: Any, page: Page, night: PublishedNight, server: RedisServer
) -> None:
    night.stages("W")
    one, other = (Tab(context, url(page)) for _ in range(2))
    with answering(server.url) as taken:
        one.wait_for_text(".word", "Awake")
        one.page.get_by_role("button", name="Lights off").tap()
        one.wait_for_text(".answers", "recorded")
        other.page.get_by_label("Note").fill("<b>thirsty</b>")
        other.page.get_by_role("button", name="Add").tap()
        other.wait_for_text(".answers", "<b>thirsty</b>” at")
        other.wait_for_text(".answers", "recorded")
    assert [(left.mark.kind, left.mark.text) for left in taken] == [
        ("lights_off", None),
        ("note", "<b>thirsty</b>"),
    ]
    for left in taken:
        night.mark(left.mark)
    for tab in (one, other):
        tab.wait("document.querySelectorAll('.stages title').length === 2")
    assert one.errors == other.errors == []


def test_the_page_goes_on_after_the_server_was_killed_and_marks_wait(
    context: Any, server: RedisServer, night: PublishedNight, tmp_path: Path
) -> None:
    night.stages("22")
    clock = SystemClock()
    with ExitStack() as first:
        address = first.enter_context(
            serve(WebAddress("127.0.0.1", 0), server.url, clock, token=None, nights=tmp_path)
        ).address
        tab = Tab(context, f"http://{address}/")
        tab.wait_for_text(".word", "Light")
    tab.wait_for_text("#connection", "No connection since")
    tab.page.get_by_role("button", name="Lights on").tap()
    tab.wait_for_text(".answers", "waits for a connection")
    night.stages("3R")
    with (
        answering(server.url) as taken,
        serve(address, server.url, clock, token=None, nights=tmp_path),
    ):
        tab.wait_for_text(".word", "Dreaming")
        tab.wait(f"{EPOCHS} === 3")  # what was missed is drawn, too
        tab.wait_for_text(".answers", "recorded")
    assert [left.mark.kind for left in taken] == ["lights_on"]


def test_a_phone_that_slept_for_an_hour_catches_up(
    context: Any, page: Page, night: PublishedNight
) -> None:
    night.stages("2")
    tab = Tab(context, "about:blank")
    tab.page.clock.install()
    tab.page.goto(url(page))
    tab.wait_for_text(".word", "Light")
    context.set_offline(True)
    night.stages("3" * 60 + "R" * 60)
    tab.page.clock.fast_forward("01:00:00")  # timers fire once, as when a lid is opened
    tab.wait_for_text("#connection", "No connection since")
    context.set_offline(False)
    tab.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    tab.page.clock.fast_forward("00:10")
    tab.wait_for_text(".word", "Dreaming")
    tab.page.clock.fast_forward("00:02")
    tab.wait(f"{EPOCHS} === 3")
    assert tab.errors == []


def test_a_hidden_tab_gives_its_connection_back_and_catches_up(
    context: Any, page: Page, night: PublishedNight
) -> None:
    """A browser has six connections for all tabs of a page."""
    night.stages("2")
    tab = Tab(context, "about:blank")
    tab.page.clock.install()
    tab.page.goto(url(page))
    tab.wait_for_text(".word", "Light")
    tab.page.evaluate(SEE % "hidden")
    tab.page.clock.fast_forward("00:31")
    night.stages("3")
    page.until(lambda now: now["sleepers"][0]["stage"]["word"] == "Deep", "the stage")
    tab.page.wait_for_timeout(500)
    assert tab.text(".word") == "Light"
    tab.page.evaluate(SEE % "visible")
    tab.wait_for_text(".word", "Deep")
    assert tab.errors == []


def test_the_link_opens_the_page_and_leaves_the_address_line(
    context: Any, server: RedisServer, night: PublishedNight, tmp_path: Path
) -> None:
    night.stages("2")
    with served(server.url, tmp_path, token=TOKEN) as page:
        tab = Tab(context, url(page))
        tab.wait_for_text("#connection", "Open the link or the QR code", timeout_s=40)
        tab.page.goto(f"{url(page)}?token={TOKEN}")
        tab.wait_for_text(".word", "Light")
        assert tab.page.url == url(page)
        assert tab.page.evaluate("document.cookie") == ""  # no script can read it
        tab.page.goto(url(page))
        tab.wait_for_text(".word", "Light")


def test_a_foreign_page_reads_nothing_and_marks_nothing(
    context: Any, server: RedisServer, night: PublishedNight, page: Page, tmp_path: Path
) -> None:
    """The other page is at another port, which is another origin; it does what it can."""
    with served(server.url, tmp_path) as elsewhere, answering(server.url) as taken:
        tab = Tab(context, f"{url(elsewhere)}api")
        tab.page.goto(f"{url(elsewhere)}icon.svg")
        answers = tab.page.evaluate(
            """async (target) => {
              const asks = [
                fetch(target + 'api/v1/now'),
                fetch(target + 'api/v1/now', {mode: 'no-cors'}).then((a) => a.text()),
                fetch(target + 'api/v1/marks', {method: 'POST', mode: 'no-cors',
                  body: '{"kind":"lights_off"}'}).then((a) => a.text()),
                fetch(target + 'api/v1/marks', {method: 'POST',
                  headers: {'Content-Type': 'application/json'}, body: '{"kind":"lights_off"}'}),
              ];
              return (await Promise.allSettled(asks)).map((each) => each.value || '');
            }""",
            url(page),
        )
    assert answers == ["", "", "", ""]
    assert taken == []


def test_nothing_bright_is_ever_shown(context: Any, page: Page, tmp_path: Path) -> None:
    """The ground is dark before the style has come, and a report's ground is dark, too."""
    store_stages(tmp_path / "n.sqlite", "2" * 40)
    context.route("**/page.css", lambda route: route.abort())
    tab = Tab(context, url(page))
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    assert tab.page.evaluate(ground) == "rgb(10, 13, 17)"
    with tab.page.expect_navigation():
        tab.page.locator("#nights a").first.tap()
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 23, 30)"


def test_the_demo_is_watched_from_start_to_end(
    context: Any, server: RedisServer, tmp_path: Path
) -> None:
    """A replay of 84 minutes of sleep, at 300 times their speed; all epochs reach the page."""
    store = tmp_path / "night.sqlite"
    options = ["--speed", "300", "--store", str(store), "--redis", server.url, "--no-dashboard"]
    command = ("replay", str(EXCERPT), *options)
    env = environment(tmp_path)
    with served(server.url, tmp_path / "nights") as page:
        tab = Tab(context, url(page))
        with Program("replay", "monitor.cli", command, tmp_path, env) as replay:
            tab.wait_for_text(".sentence", "sleep for", timeout_s=60)
            wait_for(lambda: not replay.running, "the replay's end", 60)
            tab.wait_for_text(".word", "Ended")
            (session,) = [each["session"] for each in page.now()["sleepers"]]
            stages = page.ask(f"/api/v1/sessions/{session}").json["stages"]
            (n_epochs,) = query(store, "SELECT count(*) FROM epoch")[0]
            assert len(stages) == n_epochs == 167
            runs = 1 + sum(kind(one) != kind(other) for one, other in pairwise(stages))
            tab.wait(f"{EPOCHS} === {runs}")
    assert tab.errors == []


def kind(letter: str) -> str:
    """Return the row of a stage on the page: N1 and N2 are both light sleep."""
    return "2" if letter == "1" else letter
