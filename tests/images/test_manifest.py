"""Indexes, manifests and configurations: parsed strictly, chosen by platform."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containerd_aio._images.manifest import (
    MAX_DOCUMENT,
    Index,
    candidates,
    parse_config,
    parse_index,
    parse_manifest,
)
from containerd_aio._images.platforms import host_platform
from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types import Descriptor, Platform
from tests.images.archives import encode
from tests.images.test_fields import JSON

DIGEST = "sha256:" + "ab" * 32
DESCRIPTOR: dict[str, Any] = {
    "mediaType": "application/vnd.oci.image.layer.v1.tar",
    "digest": DIGEST,
    "size": 3,
}
MANIFEST = {"schemaVersion": 2, "config": DESCRIPTOR, "layers": [DESCRIPTOR]}
INDEX = {"schemaVersion": 2, "manifests": [DESCRIPTOR]}
CONFIG: dict[str, Any] = {
    "architecture": "arm64",
    "os": "linux",
    "variant": "v8",
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    "config": {
        "Env": ["A=b"],
        "Entrypoint": ["/init"],
        "Cmd": ["run"],
        "WorkingDir": "/srv",
        "User": "app:staff",
        "StopSignal": "SIGINT",
        "Labels": {"k": "v"},
        "Volumes": {"/data": {}},
    },
    "history": [{"created_by": "unknown fields are nobody's business"}],
}


def test_a_manifest_gives_its_config_and_its_layers_in_order() -> None:
    second = {**DESCRIPTOR, "size": 4, "annotations": {"a": "b"}}
    manifest = parse_manifest(encode({**MANIFEST, "layers": [DESCRIPTOR, second]}))
    assert manifest.config == Descriptor(DESCRIPTOR["mediaType"], DIGEST, 3)
    assert [layer.size for layer in manifest.layers] == [3, 4]
    assert manifest.layers[1].annotations == {"a": "b"}
    assert manifest.media_type == "application/vnd.oci.image.manifest.v1+json"


def test_dockers_media_types_are_as_good() -> None:
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    assert parse_manifest(encode({**MANIFEST, "mediaType": docker})).media_type == docker
    docker_list = "application/vnd.docker.distribution.manifest.list.v2+json"
    assert parse_index(encode({**INDEX, "mediaType": docker_list})).media_type == docker_list


def test_an_index_gives_the_platforms_of_its_entries() -> None:
    platform = {"architecture": "arm", "os": "linux", "variant": "v7", "os.features": ["x"]}
    index = parse_index(encode({**INDEX, "manifests": [{**DESCRIPTOR, "platform": platform}, DESCRIPTOR]}))
    assert index.manifests[0].platform == Platform("linux", "arm", "v7", os_features=("x",))
    assert index.manifests[1].platform is None


def test_a_config_tells_what_the_process_needs() -> None:
    config = parse_config(encode(CONFIG))
    assert config.platform == Platform("linux", "arm64", "v8")
    assert config.diff_ids == (DIGEST,)
    assert (config.env, config.entrypoint, config.cmd) == (("A=b",), ("/init",), ("run",))
    assert (config.working_dir, config.user, config.stop_signal) == ("/srv", "app:staff", "SIGINT")
    assert config.labels == {"k": "v"}


def test_a_config_that_names_no_platform_is_for_this_machine() -> None:
    host = host_platform()
    config = parse_config(encode({"rootfs": {"diff_ids": None}, "config": None}))
    assert (config.platform.os, config.platform.architecture) == (host.os, host.architecture)
    assert config.diff_ids == ()
    assert config.env == ()


@pytest.mark.parametrize(
    ("parse", "document", "message"),
    [
        (parse_index, {**INDEX, "schemaVersion": 1}, "schemaVersion must be 2, but is 1"),
        (parse_index, {**INDEX, "config": DESCRIPTOR}, "config must be absent from this kind"),
        (parse_index, {**INDEX, "layers": []}, "layers must be absent from this kind"),
        (parse_index, {**INDEX, "mediaType": "application/vnd.oci.image.manifest.v1+json"}, "another kind"),
        (parse_index, {"manifests": [DESCRIPTOR] * 1001}, "must be of 1000 entries at most"),
        (parse_index, [], "index must be an object"),
        (parse_manifest, {**MANIFEST, "manifests": [DESCRIPTOR]}, "manifests must be absent from this kind"),
        (parse_manifest, {**MANIFEST, "fsLayers": []}, "fsLayers must be absent from this kind"),
        (parse_manifest, {"layers": []}, "config must be an object, but is absent"),
        (
            parse_manifest,
            {**MANIFEST, "layers": [{**DESCRIPTOR, "digest": "x"}]},
            r"layers\[0\].digest must be",
        ),
        (parse_manifest, {**MANIFEST, "layers": [{**DESCRIPTOR, "size": "3"}]}, r"layers\[0\].size must be"),
        (parse_manifest, {**MANIFEST, "layers": [{**DESCRIPTOR, "mediaType": ""}]}, r"layers\[0\].mediaType"),
        (parse_config, {}, "rootfs must be an object, but is absent"),
        (parse_config, {**CONFIG, "rootfs": {"type": "erofs"}}, "rootfs.type is 'erofs'"),
        (parse_config, {**CONFIG, "rootfs": {"diff_ids": ["x"]}}, r"diff_ids\[0\] must be a digest"),
        (parse_config, {**CONFIG, "config": {"Env": "A=b"}}, "config.Env must be a list"),
        (parse_config, {**CONFIG, "config": {"Cmd": ["a\0"]}}, "without NUL"),
    ],
)
def test_what_is_wrong_or_ambiguous_is_refused(
    parse: Callable[[bytes], object], document: object, message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        parse(encode(document))


def test_a_document_of_more_than_8_mib_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="at most 8388608 are taken"):
        parse_index(b" " * (MAX_DOCUMENT + 1))


def places(document: object) -> list[tuple[str | int, ...]]:
    """The way to each value inside a document."""
    if isinstance(document, dict):
        inside = [(key, path) for key, value in document.items() for path in places(value)]
    elif isinstance(document, list):
        inside = [(at, path) for at, value in enumerate(document) for path in places(value)]
    else:
        return [()]
    return [(), *((key, *path) for key, path in inside)]


def replaced(document: Any, place: tuple[str | int, ...], value: object) -> Any:
    """The document with one value replaced."""
    if not place:
        return value
    changed = document.copy()
    changed[place[0]] = replaced(document[place[0]], place[1:], value)
    return changed


@pytest.mark.parametrize(
    ("parse", "document"),
    [(parse_index, INDEX), (parse_manifest, MANIFEST), (parse_config, CONFIG)],
    ids=["index", "manifest", "config"],
)
@given(data=st.data())
def test_a_document_with_any_value_replaced_is_parsed_or_refused(
    parse: Callable[[bytes], object], document: object, data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(places(document)))
    spoilt = json.dumps(replaced(document, place, data.draw(JSON))).encode()
    with contextlib.suppress(InvalidArgumentError):
        parse(spoilt)


def entry(platform: str | None, size: int) -> Descriptor:
    parsed = None
    if platform is not None:
        os, architecture, variant = (*platform.split("/"), "")[:3]
        parsed = Platform(os, architecture, variant)
    return Descriptor("application/vnd.oci.image.manifest.v1+json", DIGEST, size, platform=parsed)


@given(
    st.permutations(["linux/arm/v7", "linux/arm/v5", "linux/arm64", None, "windows/arm", "unknown/unknown"])
)
def test_candidates_for_a_platform_come_best_first_whatever_the_order(order: list[str | None]) -> None:
    index = Index("", tuple(entry(platform, size) for size, platform in enumerate(order)))
    found = candidates(index, Platform("linux", "arm", "v7"))
    assert [order[descriptor.size] for descriptor in found] == ["linux/arm/v7", "linux/arm/v5", None]
