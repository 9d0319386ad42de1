"""A night posted to a real web server: signed, in order, none lost, never elsewhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

import pytest

from monitor.clock import ManualClock, SystemClock
from monitor.config import HttpConfig
from monitor.night.events import from_json
from monitor.sinks.ways import WayError, WebhookSender
from monitor.sinks.ways.webhook import WebhookWay
from monitor.types import Track
from tests.sinks.peers import scored
from tests.sinks.waiting import until
from tests.sinks.ways.broker import free_port
from tests.sinks.ways.carrying import NightLog, carrying, night, replayed, until_sent
from tests.sinks.ways.receiver import Receiver


def webhook(url: str, *, live: bool = True, **options: Any) -> WebhookWay:
    carried = night() if live else replayed()
    return WebhookWay(HttpConfig(url=url, **options), carried, ManualClock())


def test_each_event_is_posted_once_in_order_as_it_stands_in_the_contract() -> None:
    log = NightLog()
    log.stages(0, 30)
    with Receiver() as server, carrying(log, webhook(server.url)) as c:
        until_sent(c)
        log.add(scored(31))
        c.notify()
        until_sent(c)
    assert [from_json(post.body) for post in server.posts] == log.events_after(0, 1000)
    headers = server.posts[1].headers
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["webhook-id"] == "/sleep-monitor/night-1/stage/0/live/0"
    assert headers["sleep-monitor-mode"] == "live"
    assert "webhook-signature" not in headers


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("a plain secret", b"a plain secret"),
        ("whsec_" + base64.b64encode(b"bytes \xff").decode(), b"bytes \xff"),
    ],
)
def test_a_post_is_signed_as_standard_webhooks_says(secret: str, key: bytes) -> None:
    log = NightLog()
    with Receiver() as server, carrying(log, webhook(server.url, secret=secret)) as c:
        until_sent(c)
    (post,) = server.posts
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.{post.body}"
    digest = hmac.new(key, signed.encode(), hashlib.sha256).digest()
    assert post.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert post.headers["webhook-timestamp"] == str(int(ManualClock().utc().timestamp()))


def test_the_revised_track_is_posted_if_asked_for() -> None:
    log = NightLog()
    log.stages(0, 0)
    log.add(scored(0, track=Track.REVISED))
    log.stages(1, 1)
    for revised, sequences in ((False, [1, 2, 4]), (True, [1, 2, 3, 4])):
        log._sent.clear()
        with Receiver() as server, carrying(log, webhook(server.url, revised=revised)) as c:
            until_sent(c)
        assert server.sequences() == sequences


def test_a_server_that_is_away_gets_the_rest_in_order(caplog: pytest.LogCaptureFixture) -> None:
    log, port = NightLog(), free_port()
    way = webhook(f"http://127.0.0.1:{port}/hook?token=not-to-be-seen")
    way.longest_pause_s = 0.2
    with carrying(log, way) as c:
        log.stages(0, 19)  # ten minutes of outage
        c.notify()
        until(lambda: "events wait" in caplog.text, "the warning")
        assert c.waiting() == 21
        with Receiver(port) as server:
            until_sent(c)
        log.stages(20, 25)
        with Receiver(port) as second:
            c.notify()
            until_sent(c)
    assert server.sequences() == list(range(1, 22))
    assert second.sequences() == list(range(22, 28))
    assert "not-to-be-seen" not in caplog.text


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_an_event_that_is_refused_waits_and_keeps_its_id(status: int) -> None:
    log = NightLog()
    log.stages(0, 2)
    with Receiver() as server:
        server.answers = [204, status, status]
        with carrying(log, webhook(server.url)) as c:
            until_sent(c)
    assert server.sequences() == [1, 2, 3, 4]
    assert {post.headers["webhook-id"] for post in server.refused} == {
        server.posts[1].headers["webhook-id"]
    }


def test_a_redirect_is_not_followed(caplog: pytest.LogCaptureFixture) -> None:
    log = NightLog()
    with Receiver() as elsewhere, Receiver(location=elsewhere.url) as server:
        server.answers = [302] * 1000
        with carrying(log, webhook(server.url)) as c:
            until(lambda: "a redirect, which is not followed" in caplog.text, "the warning")
            assert c.waiting() == 1
    assert elsewhere.posts == elsewhere.refused == []
    assert "not-to-be-seen" not in caplog.text


def test_a_server_that_answers_byte_by_byte_is_left_after_the_limit() -> None:
    with Receiver(drip=True) as server:
        sender = WebhookSender(HttpConfig(url=server.url), SystemClock(), limit_s=0.5)
        before_s = time.monotonic()
        with pytest.raises(WayError, match="does not answer"):
            sender.send("id", "{}")
        assert time.monotonic() - before_s < 5.0


def test_a_rule_can_post_to_a_url_of_its_own() -> None:
    with Receiver() as server, Receiver() as other:
        sender = WebhookSender(HttpConfig(url=server.url), SystemClock())
        sender.send("rule-1", '{"lamp": "on"}', url=other.url)
    assert server.posts == []
    assert [post.body for post in other.posts] == ['{"lamp": "on"}']
    assert other.posts[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "http:///x", "gopher://h"])
def test_only_web_addresses_are_posted_to(url: str) -> None:
    sender = WebhookSender(HttpConfig(url="http://localhost/"), SystemClock())
    with pytest.raises(WayError, match="must begin with http:// or https://"):
        sender.send("id", "{}", url=url)


def test_a_replay_says_so() -> None:
    log = NightLog()
    with Receiver() as server, carrying(log, webhook(server.url, live=False)) as c:
        until_sent(c)
    assert server.posts[0].headers["sleep-monitor-mode"] == "replay"
