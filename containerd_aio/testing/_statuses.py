"""What the daemon answers when it refuses: gRPC statuses and texts, as containerd 1.6 gives them (recorded there)."""

from __future__ import annotations

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from containerd_aio.errors import InvalidArgumentError
from containerd_aio.types.digest import check_digest
from containerd_aio.types.identifier import MAX_LENGTH, check_identifier

_MAX_LABEL = 4096


def not_found(text: str) -> GRPCError:
    """What is asked for does not exist."""
    return GRPCError(Status.NOT_FOUND, f"{text}: not found")


def already_exists(text: str) -> GRPCError:
    """The name is taken."""
    return GRPCError(Status.ALREADY_EXISTS, f"{text}: already exists")


def invalid(text: str) -> GRPCError:
    """The request makes no sense."""
    return GRPCError(Status.INVALID_ARGUMENT, f"{text}: invalid argument")


def precondition(text: str) -> GRPCError:
    """The state forbids it."""
    return GRPCError(Status.FAILED_PRECONDITION, f"{text}: failed precondition")


def unknown(text: str) -> GRPCError:
    """All that containerd has no word for; also what a task's state machine and the runtime refuse."""
    return GRPCError(Status.UNKNOWN, f"{text}: unknown")


def unimplemented(text: str) -> GRPCError:
    """This daemon cannot do it."""
    return GRPCError(Status.UNIMPLEMENTED, f"{text}: not implemented")


def checked_identifier(text: str, about: str = "") -> None:
    """Refuse what is no identifier, with INVALID_ARGUMENT; ``about`` goes before the text."""
    try:
        check_identifier("identifier", text)
    except InvalidArgumentError:
        prefix = f"{about}: " if about else ""
        if not text:
            raise invalid(f"{prefix}identifier must not be empty") from None
        if len(text) > MAX_LENGTH:
            raise invalid(
                f'{prefix}identifier "{text}" greater than maximum length ({MAX_LENGTH} characters)'
            ) from None
        rule = "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$"
        raise invalid(f'{prefix}identifier "{text}" must match {rule}') from None


def is_digest(text: str) -> bool:
    """Tell whether this is a digest of an algorithm that the daemon knows."""
    try:
        check_digest(text)
    except InvalidArgumentError:
        return False
    return True


def checked_labels(labels: dict[str, str], about: str) -> None:
    """Refuse labels that are too long, with INVALID_ARGUMENT, and one without a name, with UNKNOWN."""
    for key, value in labels.items():
        if len(key) + len(value) > _MAX_LABEL:
            shown = key[:64]
            raise invalid(
                f"{about}: label key and value greater than maximum size ({_MAX_LABEL} bytes), key: {shown}"
            )
        if not key:
            raise GRPCError(Status.UNKNOWN, f'{about}: failed to set label ""="{value}": key required')
