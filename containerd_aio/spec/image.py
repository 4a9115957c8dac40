"""What an image says about the process it wants, made into options.

The image is not trusted: its user is taken only where it resolves to an id within range (`users`), and its labels
are nobody's business here.
"""

from __future__ import annotations

from collections.abc import Sequence

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.spec.arguments import check_texts
from containerd_aio.spec.default import DEFAULT_PATH
from containerd_aio.spec.environment import merged_env, split_env
from containerd_aio.spec.option import SpecContext, SpecOption
from containerd_aio.spec.schema import Process, Spec, User
from containerd_aio.spec.sections import process_of
from containerd_aio.spec.users import UserName, with_additional_gids, with_user
from containerd_aio.types import ImageConfig

_OPTION = "image_config"


def image_config(args: Sequence[str] | None = None) -> SpecOption:
    """Run what the image names, as it says: ``context.image``'s command, environment, directory and user.

    ``args`` replaces its Cmd and keeps its Entrypoint. Variables that are set already win over the image's, and
    an image without any gets a default PATH. An image that names no user leaves it as it is, root by default.
    Supplementary groups come from the container's files; where those cannot be read from here, there are none.

    :raises InvalidArgumentError: for a plain ``str`` as ``args``; when it is applied, without an image, for text
        with a NUL in it, and for a user that the container does not have or that is out of range
    """
    chosen = None if args is None else check_texts(_OPTION, args)

    def option(spec: Spec, context: SpecContext) -> Spec:
        image = context.image
        if image is None:
            raise InvalidArgumentError(f"{_OPTION}: the container has no image")
        process = process_of(spec)
        process["env"] = _env(image, process)
        process["args"] = [*check_texts(_OPTION, image.entrypoint), *_command(image, chosen)]
        process["cwd"] = _directory(image)
        process["user"] = _user(image, process.get("user") or {}, context)
        process.pop("commandLine", None)
        return {**spec, "process": process}

    return option


def _env(image: ImageConfig, process: Process) -> list[str]:
    base = check_texts(_OPTION, image.env) or [DEFAULT_PATH]
    return merged_env(base, split_env(process.get("env") or []))


def _command(image: ImageConfig, chosen: Sequence[str] | None) -> Sequence[str]:
    return check_texts(_OPTION, image.cmd) if chosen is None else chosen


def _directory(image: ImageConfig) -> str:
    (directory,) = check_texts(_OPTION, [image.working_dir])
    return directory or "/"


def _user(image: ImageConfig, before: User, context: SpecContext) -> User:
    if not image.user:
        # Root's groups for root only: an earlier user() may have named somebody else.
        uid = before.get("uid") or 0
        return with_additional_gids(before, uid or "root", context.rootfs)
    name = UserName.parse(_OPTION, image.user)
    return with_additional_gids(with_user(before, name, context.rootfs), name.user, context.rootfs)
