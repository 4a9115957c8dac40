"""What a real process writes to both outputs, as one stream: complete, in order, and line by line."""

from __future__ import annotations

import anyio
import pytest

from containerd_aio import Chunk, Client, Image, pipes
from containerd_aio.errors import InvalidArgumentError

pytestmark = pytest.mark.integration


async def test_both_outputs_of_a_task_are_one_stream_that_ends_with_it(client: Client, image: Image) -> None:
    script = "yes out | head -c 400000 & yes err | head -c 300000 >&2; wait"
    written = {"stdout": b"", "stderr": b""}
    async with await client.new_container("both", image=image, args=["sh", "-c", script]) as container:
        async with await container.new_task(stdio=pipes()) as task:
            await task.start()
            async for chunk in task.output():
                written[chunk.stream] += chunk.data
            assert (await task.wait()).code == 0
    assert written == {"stdout": b"out\n" * 100_000, "stderr": b"err\n" * 75_000}


async def test_lines_come_while_the_process_runs(client: Client, image: Image) -> None:
    script = "printf 'one\\ntw'; printf 'oh\\n' >&2; read line; printf '%s\\nend' \"$line\""
    async with await client.new_container("lines", image=image, args=["sh", "-c", script]) as container:
        async with await container.new_task(stdio=pipes(stdin=True)) as task:
            await task.start()
            lines = task.lines()
            first = {await lines.receive(), await lines.receive()}
            assert first == {Chunk("stdout", b"one\n"), Chunk("stderr", b"oh\n")}
            assert task.stdin is not None
            await task.stdin.send(b"o\n")
            assert [line async for line in lines] == [Chunk("stdout", b"two\n"), Chunk("stdout", b"end")]


async def test_a_second_loop_goes_on_where_the_first_one_stopped(client: Client, image: Image) -> None:
    script = "printf 'booting\\nready\\none\\ntw'; read line; printf 'o\\nthree'; echo oh >&2"
    async with await client.new_container("twice", image=image, args=["sh", "-c", script]) as container:
        async with await container.new_task(stdio=pipes(stdin=True)) as task:
            await task.start()
            async for line in task.lines():
                if line.text == "ready\n":
                    break
            assert task.stdin is not None
            await task.stdin.send(b"\n")
            rest = {"stdout": "", "stderr": ""}
            async for line in task.lines(max_line=100):
                rest[line.stream] += line.text
    assert rest == {"stdout": "one\ntwo\nthree", "stderr": "oh\n"}


async def test_output_that_a_child_left_behind_holds_open_is_ended_by_delete(
    client: Client, image: Image
) -> None:
    async with await client.new_container("left", image=image, args=["sleep", "600"]) as container:
        async with await container.new_task() as task:
            await task.start()
            parent = await task.exec("parent", ["sh", "-c", "sleep 600 & echo gone"], stdio=pipes())
            async with parent, anyio.create_task_group() as group:
                exited = parent.wait()
                await parent.start()
                chunks: list[Chunk] = []

                async def read() -> None:
                    chunks.extend([chunk async for chunk in parent.output()])

                group.start_soon(read)
                await exited
                await parent.delete()
            assert chunks == [Chunk("stdout", b"gone\n")]


async def test_a_process_without_pipes_has_no_output_to_read(client: Client, image: Image) -> None:
    async with await client.new_container("quiet", image=image, args=["true"]) as container:
        async with await container.new_task() as task:
            with pytest.raises(InvalidArgumentError, match=r"task 'quiet'.*pipes\(\)"):
                task.output()
