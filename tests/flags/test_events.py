"""The streams of events: who is told what, when, and what becomes of those who do not read."""

import re
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from flags.builders import NAMESPACE, cell, policy
from flags.hosted import HostedServer, hosted
from flags.process import Asked
from flags.streams import stream
from support.waiting import holds_for, wait_for

BULK = f"/{NAMESPACE}/ofrep/v1/evaluate/flags"
EVENTS = f"/{NAMESPACE}/ofrep/v1/events"
FREE = {"plan": "free", "accountCreatedAt": 1_500_000_000, "targetingKey": "f"}

WELL = policy()
SHED = policy(cells=[cell("free", "lite")])
WORSE = policy(cells=[cell("free", "denied")])


def where_to_listen(server: Asked) -> str:
    """The path that a bulk answer says."""
    return server.ask(BULK, {"context": FREE})[1]["eventStreams"][0]["endpoint"]["requestUri"]


def all_open(server: Asked, count: int) -> bool:
    return wait_for(lambda: server.metric("brownout_flags_event_streams") == count, f"{count} streams are open")


def test_a_bulk_answer_says_where_to_listen() -> None:
    with hosted(WELL) as server:
        version = server.ask(BULK, {"context": FREE})[1]["metadata"]["version"]
        assert server.ask(BULK, {"context": FREE})[1]["eventStreams"] == [
            {"type": "sse", "endpoint": {"requestUri": f"{EVENTS}?since={version}"}, "inactivityDelaySec": 120}
        ]
        without_namespace = server.ask("/ofrep/v1/evaluate/flags", {"context": FREE})[1]["eventStreams"][0]
        assert without_namespace["endpoint"]["requestUri"] == f"/ofrep/v1/events?since={version}"


def test_behind_a_gateway_the_address_is_the_public_one() -> None:
    with hosted(WELL, public_url="https://flags.example.com/v2/") as server:
        found = server.ask(BULK, {"context": FREE})[1]["eventStreams"][0]
        assert found["url"].startswith(f"https://flags.example.com/v2{EVENTS}?since=")
        assert "endpoint" not in found


def test_a_flip_is_told_at_once_as_ofrep_says() -> None:
    with hosted(WELL, notice_spread_seconds=60.0) as server, stream(server, where_to_listen(server)) as listening:
        all_open(server, 1)
        before = time.time()
        flipped = server.publish(SHED)
        (event,) = listening.wait_for(1, seconds=2)
        assert listening.headers["Content-Type"] == "text/event-stream"
        assert (event.id, event.name) == (flipped.version, "message")
        assert event.data.keys() == {"type", "etag", "lastModified"}
        assert (event.data["type"], event.data["etag"]) == ("refetchEvaluation", f'"{flipped.version}"')
        assert int(before) <= event.data["lastModified"] <= time.time()


def test_chunks_are_right_for_who_speaks_http_1_1() -> None:
    with hosted(WELL) as server, socket.create_connection(("127.0.0.1", server.http_port), timeout=5) as connection:
        connection.sendall(f"GET {where_to_listen(server)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        all_open(server, 1)
        flipped = server.publish(SHED)
        received = b""
        while b"refetchEvaluation" not in received or not received.endswith(b"\n\n\r\n"):
            received += connection.recv(4096)
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    chunks = []
    while body:
        size, _, body = body.partition(b"\r\n")
        chunks.append(body[: int(size, 16)])
        assert body[int(size, 16) : int(size, 16) + 2] == b"\r\n"
        body = body[int(size, 16) + 2 :]
    assert re.fullmatch(rb"retry: \d+\n\n", chunks[0])
    assert chunks[1].startswith(f"id: {flipped.version}\n".encode())


def test_a_change_between_the_answer_and_the_stream_is_not_missed() -> None:
    with hosted(WELL) as server:
        path = where_to_listen(server)
        flipped = server.publish(SHED)
        with stream(server, path) as listening:
            assert [event.id for event in listening.wait_for(1)] == [flipped.version]


def test_a_client_that_comes_back_is_told_what_it_missed_and_nothing_else() -> None:
    with hosted(WELL) as server:
        path = where_to_listen(server)
        known = server.publish(SHED).version
        with stream(server, path, {"Last-Event-ID": known}) as listening:
            all_open(server, 1)
            holds_for(lambda: not listening.events, "nothing is told", seconds=0.5)
        newest = server.publish(WORSE).version
        with stream(server, path, {"Last-Event-ID": known}) as listening:
            assert [event.id for event in listening.wait_for(1)] == [newest]


def test_changes_that_come_too_fast_are_coalesced_and_the_last_one_is_told() -> None:
    with hosted(WELL) as server, stream(server, where_to_listen(server)) as listening:
        all_open(server, 1)
        for percent in range(99, 40, -1):
            last = server.publish(policy(cells=[cell("free", "full", percent)]))
        wait_for(lambda: listening.events and listening.events[-1].id == last.version, "the last one is told")
        assert len(listening.events) <= 3


def test_what_is_taken_back_before_it_is_announced_is_told_to_who_came_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("brownout.flags.notices.COALESCE_SECONDS", 2.0)
    with hosted(WELL, notice_spread_seconds=0.5) as server:
        with stream(server, where_to_listen(server)) as first:
            all_open(server, 1)
            announced = server.publish(SHED).version
            first.wait_for(1)
            server.publish(WORSE)
            with stream(server, where_to_listen(server)) as in_between:
                all_open(server, 2)
                assert server.publish(SHED).version == announced
                assert in_between.wait_for(1)[0].id == announced
        assert len(first.events) == 1


def test_a_restore_is_spread_out_and_everybody_is_told_within_the_window() -> None:
    with ExitStack() as open_streams:
        server = open_streams.enter_context(hosted(WORSE, notice_spread_seconds=2.0))
        path = where_to_listen(server)
        listening = [open_streams.enter_context(stream(server, path)) for _ in range(60)]
        all_open(server, 60)
        started = time.monotonic()
        server.publish(WELL)
        moments = sorted(each.wait_for(1)[0].at - started for each in listening)
        assert moments[-1] < 2.5
        for second in (0.5, 1.0, 1.5):  # of an even spread so many come by then, give or take what chance does
            assert 60 * (second / 2 - 0.35) < sum(moment < second for moment in moments) < 60 * (second / 2 + 0.35)


def test_a_flip_during_a_restore_is_told_to_everybody_at_once() -> None:
    with ExitStack() as open_streams:
        server = open_streams.enter_context(hosted(WORSE, notice_spread_seconds=30.0))
        path = where_to_listen(server)
        listening = [open_streams.enter_context(stream(server, path)) for _ in range(20)]
        all_open(server, 20)
        server.publish(SHED)
        wait_for(lambda: any(each.events for each in listening), "the restore has begun to be told")
        worse_again = server.publish(policy(cells=[cell("free", "lite", 50)]))
        for each in listening:
            wait_for(
                lambda each=each: each.events and each.events[-1].id == worse_again.version, "it is told", seconds=3
            )


def test_every_client_is_told_another_time_after_which_to_come_back() -> None:
    with ExitStack() as open_streams:
        server = open_streams.enter_context(hosted(WELL))
        listening = [open_streams.enter_context(stream(server, EVENTS)) for _ in range(10)]
        pauses = {wait_for(lambda each=each: each.retry, "a pause is told")[0] for each in listening}
        assert len(pauses) > 5
        assert all(1_000 <= pause <= 6_000 for pause in pauses)


def test_who_does_not_read_is_dropped_and_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brownout.flags.notices.COALESCE_SECONDS", 0.0)
    with hosted(WELL) as server, socket.socket() as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        idle.connect(("127.0.0.1", server.http_port))
        idle.sendall(f"GET {EVENTS} HTTP/1.0\r\n\r\n".encode())
        with stream(server, EVENTS) as listening:
            all_open(server, 2)

            def dropped() -> bool:
                for percent in range(99, 0, -1):
                    server.publish(policy(cells=[cell("free", "full", percent)]))
                    server.publish(policy(cells=[cell("free", "lite", percent)]))
                return server.metric("brownout_flags_event_streams_dropped_total") == 1

            wait_for(dropped, "the one who does not read is dropped", seconds=60)
            last = server.publish(WORSE)
            wait_for(lambda: listening.events[-1].id == last.version, "the other one is told", seconds=3)
            assert server.metric("brownout_flags_event_streams") == 1


def test_a_silent_stream_has_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brownout.flags.notices.HEARTBEAT_SECONDS", 1)
    with hosted(WELL) as server, stream(server, where_to_listen(server)) as listening:
        wait_for(lambda: listening.comments >= 2, "comments come", seconds=5)
        assert listening.events == []


def test_who_does_not_say_what_it_has_is_told_at_once() -> None:
    with hosted(WELL) as server, stream(server, EVENTS) as listening:
        listening.wait_for(1)


def test_a_stream_that_is_left_is_forgotten_at_once() -> None:
    with hosted(WELL) as server:
        with stream(server, EVENTS):
            all_open(server, 1)
        all_open(server, 0)


def test_beyond_the_limit_a_stream_is_refused_and_evaluations_are_not() -> None:
    with hosted(WELL, most_event_streams=1) as server, stream(server, EVENTS):
        all_open(server, 1)
        status, body, _ = server.ask(EVENTS)
        assert (status, body.keys()) == (503, {"errorDetails"})
        assert server.ask(BULK, {"context": FREE})[0] == 200


def test_beyond_the_limit_an_answer_sends_nobody_to_a_stream() -> None:
    """A stock client that is sent to a stream and refused comes back every second, and fetches everything each time."""
    with hosted(WELL, most_event_streams=1) as server:
        _, before, headers = server.ask(BULK, {"context": FREE})
        same = {"If-None-Match": headers["ETag"]}
        with stream(server, EVENTS):
            all_open(server, 1)
            status, body, _ = server.ask(BULK, {"context": FREE}, headers=same)
            assert (status, body) == (200, {**before, "eventStreams": []})
        all_open(server, 0)
        assert server.ask(BULK, {"context": FREE}, headers=same)[0] == 304


def test_streams_end_properly_when_the_server_stops() -> None:
    with hosted(WELL) as server, stream(server, EVENTS) as listening:
        all_open(server, 1)
        began = time.monotonic()
        server.end()
        assert wait_for(lambda: listening.ended, "the stream ends", seconds=2)
        assert time.monotonic() - began < 2.5


def test_nobody_listens_to_what_is_not_served() -> None:
    with hosted(WELL) as server:
        status, body, _ = server.ask("/nobody/ofrep/v1/events")
        assert (status, body.keys()) == (404, {"errorDetails"})


# flagConfigEtag


def bulk_after(server: HostedServer, query: str, etag: str = "") -> int:
    headers = {"If-None-Match": etag} if etag else {}
    return server.ask(f"{BULK}?{query}", {"context": FREE}, headers=headers)[0]


def test_a_validator_of_now_is_a_304_only_for_who_was_told_of_this_version() -> None:
    with hosted(WELL) as server:
        before = server.publish(SHED).version
        now = server.publish(WORSE).version
        etag = server.ask(BULK, {"context": FREE})[2]["ETag"]
        for told_of in (now, f"%22{now}%22", f"W/%22{now}%22"):
            assert bulk_after(server, f"flagConfigEtag={told_of}", etag) == 304
        assert bulk_after(server, f"flagConfigEtag=%22{before}%22", etag) == 200


def test_a_client_that_another_replica_told_first_gets_the_new_set_and_not_the_old_one() -> None:
    with hosted(WELL) as behind, hosted(SHED) as ahead:
        told_of = ahead.ask(BULK, {"context": FREE})[1]["metadata"]["version"]
        etag = behind.ask(BULK, {"context": FREE})[2]["ETag"]
        began = time.monotonic()
        assert bulk_after(behind, f"flagConfigEtag={told_of}", etag) == 200
        assert time.monotonic() - began > 0.9
        with ExitStack() as later:
            timer = threading.Timer(0.3, lambda: behind.publish(SHED))
            later.callback(timer.join)
            timer.start()
            began = time.monotonic()
            answer = behind.ask(f"{BULK}?flagConfigEtag={told_of}", {"context": FREE})[1]
            assert answer["metadata"]["version"] == told_of
            assert time.monotonic() - began < 0.9


def test_a_client_that_was_told_long_ago_does_not_wait() -> None:
    with hosted(WELL) as server:
        for told_at in ("1700000000", "0"):
            began = time.monotonic()
            assert bulk_after(server, f"flagConfigEtag=gone&flagConfigLastModified={told_at}") == 200
            assert time.monotonic() - began < 0.5


@pytest.mark.parametrize(
    "query",
    [
        "flagConfigEtag=",
        "flagConfigEtag=%00",
        "flagConfigLastModified=x",
        "flagConfigEtag=a&flagConfigLastModified=" + "9" * 400,
    ],
)
def test_nonsense_in_the_query_is_not_an_error(query: str) -> None:
    with hosted(WELL) as server:
        assert bulk_after(server, query) == 200
