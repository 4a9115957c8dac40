"""The Diff service: layers made and applied."""

from __future__ import annotations

from collections.abc import AsyncIterator

import betterproto
import pytest
from grpclib import GRPCError, Status

from containerd_aio._api.containerd.services.diff import v1 as api
from containerd_aio._api.containerd.types import Descriptor as DescriptorMessage
from containerd_aio._api.containerd.types import Mount as MountMessage
from containerd_aio._api.google.protobuf import Any as ProtoAny
from containerd_aio.errors import InvalidArgumentError, NotImplementedByServerError
from containerd_aio.services.diff import Diff
from containerd_aio.types import AnyValue, Descriptor, Mount
from tests.services.serving import Served, serving

DIGEST = "sha256:" + "a" * 64
LAYER = Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", DIGEST, 42)
APPLIED = Descriptor("application/vnd.oci.image.layer.v1.tar", "sha256:" + "c" * 64, 100)
LOWER = Mount("bind", "/lower", options=("ro", "rbind"))
UPPER = Mount("overlay", "overlay", "/sub", ("lowerdir=/a b", "upperdir=/c"))


class Differ(api.DiffBase):
    """Answers any request alike, and notes it."""

    def __init__(self) -> None:
        self.requests: list[betterproto.Message] = []

    async def apply(self, request: api.ApplyRequest, /) -> api.ApplyResponse:
        self.requests.append(request)
        if request.diff.media_type == "unknown":
            raise GRPCError(Status.UNIMPLEMENTED, "unsupported diff media type: unknown: not implemented")
        return api.ApplyResponse(
            applied=DescriptorMessage(media_type=APPLIED.media_type, digest=APPLIED.digest, size=APPLIED.size)
        )

    async def diff(self, request: api.DiffRequest, /) -> api.DiffResponse:
        self.requests.append(request)
        return api.DiffResponse(
            diff=DescriptorMessage(media_type=LAYER.media_type, digest=LAYER.digest, size=LAYER.size)
        )


@pytest.fixture
def differ() -> Differ:
    return Differ()


@pytest.fixture
async def served(differ: Differ) -> AsyncIterator[Served]:
    async with serving(differ, rpc_timeout=30) as served:
        yield served


@pytest.fixture
def diff(served: Served) -> Diff:
    return Diff(served.caller)


async def test_apply_sends_the_layer_and_the_mounts_unchanged(diff: Diff, differ: Differ) -> None:
    assert await diff.apply(LAYER, [LOWER, UPPER]) == APPLIED
    assert differ.requests == [
        api.ApplyRequest(
            diff=DescriptorMessage(media_type=LAYER.media_type, digest=DIGEST, size=42),
            mounts=[
                MountMessage(type="bind", source="/lower", options=["ro", "rbind"]),
                MountMessage(
                    type="overlay", source="overlay", target="/sub", options=["lowerdir=/a b", "upperdir=/c"]
                ),
            ],
        )
    ]


async def test_apply_sends_payloads_by_the_processor_that_takes_them(diff: Diff, differ: Differ) -> None:
    await diff.apply(LAYER, [], payloads={"ocicrypt": AnyValue("io.containerd.ocicrypt.v1.Payload", b"{}")})
    (request,) = differ.requests
    assert isinstance(request, api.ApplyRequest)
    assert request.payloads == {
        "ocicrypt": ProtoAny(type_url="io.containerd.ocicrypt.v1.Payload", value=b"{}")
    }


@pytest.mark.parametrize("sync_fs", [False, True])
async def test_the_filesystem_is_synced_only_when_asked(diff: Diff, differ: Differ, sync_fs: bool) -> None:
    await diff.apply(LAYER, [], sync_fs=sync_fs)
    (request,) = differ.requests
    assert isinstance(request, api.ApplyRequest)
    assert request.sync_fs is sync_fs


async def test_a_payload_without_a_type_is_never_sent(diff: Diff, differ: Differ) -> None:
    with pytest.raises(InvalidArgumentError, match="'ocicrypt' has no type"):
        await diff.apply(LAYER, [], payloads={"ocicrypt": AnyValue("", b"{}")})
    assert differ.requests == []


async def test_a_layer_without_a_digest_is_refused_before_any_call(diff: Diff, differ: Differ) -> None:
    with pytest.raises(InvalidArgumentError):
        await diff.apply(Descriptor(LAYER.media_type, "latest", 42), [])
    assert differ.requests == []


async def test_a_media_type_that_no_differ_takes_is_told_with_the_layer(diff: Diff) -> None:
    with pytest.raises(NotImplementedByServerError) as caught:
        await diff.apply(Descriptor("unknown", DIGEST, 42), [])
    assert caught.value.subject == f"layer '{DIGEST}'"


async def test_diff_leaves_everything_optional_to_the_daemon(diff: Diff, differ: Differ) -> None:
    assert await diff.diff([LOWER], [UPPER]) == LAYER
    (request,) = differ.requests
    assert request == api.DiffRequest(
        left=[MountMessage(type="bind", source="/lower", options=["ro", "rbind"])],
        right=[
            MountMessage(
                type="overlay", source="overlay", target="/sub", options=["lowerdir=/a b", "upperdir=/c"]
            )
        ],
    )
    assert isinstance(request, api.DiffRequest)
    assert not betterproto.serialized_on_wire(request.source_date_epoch)


@pytest.mark.parametrize("epoch", [0, 1_700_000_000_000_000_005])
async def test_diff_passes_its_options_on(diff: Diff, differ: Differ, epoch: int) -> None:
    await diff.diff(
        [], [], media_type=LAYER.media_type, ref="rw-1", labels={"key": "value"}, source_date_epoch_ns=epoch
    )
    (request,) = differ.requests
    assert isinstance(request, api.DiffRequest)
    assert (request.media_type, request.ref, request.labels) == (LAYER.media_type, "rw-1", {"key": "value"})
    assert betterproto.serialized_on_wire(request.source_date_epoch)
    assert request.source_date_epoch.seconds * 10**9 + request.source_date_epoch.nanos == epoch


async def test_layers_take_their_time(diff: Diff, served: Served) -> None:
    await diff.apply(LAYER, [])
    await diff.diff([], [])
    assert served.deadlines("/Apply") == [False]
    assert served.deadlines("/Diff") == [False]
