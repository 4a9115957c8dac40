"""How events and gaps are shown."""

from __future__ import annotations

import json

from containerd_aio.cli.events import gap_line, json_line, line
from containerd_aio.errors import ConnectionLostError
from containerd_aio.events import Event, Gap, TaskOOM, UnknownEvent

TIME = 1_498_260_090_271_802_153
SHOWN = "2017-06-23T23:21:30.271802153Z"


def test_a_line_is_time_namespace_topic_and_json() -> None:
    assert (
        line(Event(TIME, "bb", "/tasks/oom", TaskOOM("w\n")))
        == SHOWN + r' bb /tasks/oom {"container_id":"w\n"}'
    )


def test_a_line_of_json_has_the_same_and_the_type() -> None:
    assert json.loads(json_line(Event(TIME, "bb", "/tasks/oom", TaskOOM("w")))) == {
        "timestamp": SHOWN,
        "namespace": "bb",
        "topic": "/tasks/oom",
        "type": "containerd.events.TaskOOM",
        "event": {"container_id": "w"},
    }


def test_what_is_unknown_is_shown_with_its_type_and_bytes() -> None:
    shown = json.loads(json_line(Event(TIME, "bb", "/x", UnknownEvent("example.Thing", b"\xff\n"))))
    assert shown["type"] == "example.Thing"
    assert shown["event"]["value"] == "/wo="


def test_a_gap_is_a_comment_with_its_times_and_its_reason() -> None:
    assert gap_line(Gap(TIME, TIME + 1, ConnectionLostError("it went away"))) == (
        f"# events from {SHOWN} to {SHOWN[:-2]}4Z are missing: it went away"
    )
