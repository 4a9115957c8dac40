"""Processes connected with this terminal, or left to themselves, and their files: ``run exec attach cp``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from containerd_aio.cli.options import (
    Address,
    Container,
    Cwd,
    Env,
    EnvFile,
    Grace,
    Interactive,
    Namespace,
    Terminal,
    User,
    examples,
)
from containerd_aio.cli.program import NOT_RUN, finish
from containerd_aio.cli.signals import SignalsCaught

app = typer.Typer()
_AS_TYPED = {"allow_interspersed_args": False}

DetachKeys = Annotated[
    str, typer.Option(metavar="KEYS", help="What to type in a terminal to leave it running.")
]


@app.command(
    context_settings=_AS_TYPED,
    epilog=examples(
        "run busybox echo hello",
        "run -t -i busybox sh",
        "run -i busybox wc -c < file",
        "run -d --id web -m 256M -v /srv/www:/www:ro busybox httpd -f -h /www",
    ),
)
def run(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="The name of an image that is there, or a file: an image archive.",
            show_default=False,
        ),
    ],
    args: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGS", help="What to run in it, in place of the image's Cmd."),
    ] = None,
    terminal: Terminal = False,
    interactive: Interactive = False,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", "-d", help="Leave it running and print its id; `logs`, `stop` and `rm` take over."
        ),
    ] = False,
    detach_keys: DetachKeys = "ctrl-p,ctrl-q",
    id: Annotated[
        str | None,
        typer.Option("--id", "--name", metavar="ID", help="The container's id; a new one if left out."),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--rm", help="Remove it at its end: done anyway, and never with -d.")
    ] = False,
    env: Env = None,
    env_file: EnvFile = None,
    cwd: Cwd = None,
    user: User = None,
    memory: Annotated[
        str | None, typer.Option("--memory", "-m", metavar="SIZE", help="Limit, as 64M or 1G.")
    ] = None,
    cpus: Annotated[
        float | None, typer.Option(metavar="COUNT", help="Limit of CPU time, in CPUs, as 0.5.")
    ] = None,
    host_network: Annotated[
        bool,
        typer.Option(
            "--host-network", help="Use this host's network; else there is none but its own loopback."
        ),
    ] = False,
    volume: Annotated[
        list[str] | None,
        typer.Option(
            "--volume",
            "-v",
            metavar="SOURCE:TARGET[:ro]",
            help="Show a path of this host in it. May be repeated.",
        ),
    ] = None,
    mount: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC", help="type=bind,source=PATH,target=PATH[,readonly] or type=tmpfs,target=PATH."
        ),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Let it not write to its image.")] = False,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Add its output to this file instead of showing it. With -d the default is "
            "/var/log/containerd-aio/NAMESPACE/ID.log, or in $CONTAINERD_AIO_LOG_DIR.",
        ),
    ] = None,
    grace: Grace = 10.0,
    private: Annotated[
        bool, typer.Option("--private", help="Start a containerd for this run alone (needs root).")
    ] = False,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Run a container to its end, or leave it running.

    It is connected with this terminal, its code is that of this command, and it is removed at the end; with -d it
    is left to itself. Ctrl-C, and other signals, go to the process; the second one kills it. With -t and -i all keys go there, and a
    signal ends the session. The container is removed whatever ends this command; only the detach keys leave it running, for
    `attach`.

    An error before the process runs is 125; 126 if it cannot be run, 127 if it is not there.
    """
    from containerd_aio.cli.order import Order
    from containerd_aio.cli.run import run_container

    order = Order(
        image=image,
        args=args or None,
        id=id,
        interactive=interactive,
        terminal=terminal,
        detach=detach,
        detach_keys=detach_keys,
        remove=remove,
        private=private,
        env=env or (),
        env_files=env_file or (),
        cwd=cwd,
        user=user,
        memory=memory,
        cpus=cpus,
        host_network=host_network,
        volumes=volume or (),
        mounts=mount or (),
        read_only=read_only,
        log=log.absolute() if log is not None else None,
    )
    signals = SignalsCaught()
    work = run_container(order, address=address, namespace=namespace, grace=grace, signals=signals)
    finish(work, failed=NOT_RUN, signals=signals)


@app.command(
    context_settings=_AS_TYPED,
    epilog=examples(
        "exec web ps",
        "exec -t -i web sh",
        "exec -i -u postgres db psql < dump.sql",
    ),
)
def exec(
    container: Container,
    args: Annotated[
        list[str],
        typer.Argument(metavar="ARGS", help="The program and its arguments.", show_default=False),
    ],
    terminal: Terminal = False,
    interactive: Interactive = False,
    env: Env = None,
    env_file: EnvFile = None,
    cwd: Cwd = None,
    user: User = None,
    grace: Grace = 10.0,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Run another process in a running container.

    It is connected with this terminal, and its code is that of this command. Signals and errors are as with `run`;
    the process is killed whatever ends this command.
    """
    from containerd_aio.cli.exec import ExecOrder, run_exec

    order = ExecOrder(
        container=container,
        args=args,
        interactive=interactive,
        terminal=terminal,
        env=env or (),
        env_files=env_file or (),
        cwd=cwd,
        user=user,
    )
    signals = SignalsCaught()
    work = run_exec(order, address=address, namespace=namespace, grace=grace, signals=signals)
    finish(work, failed=NOT_RUN, signals=signals)


@app.command(epilog=examples("attach web", "attach --no-stdin web", "attach web exec-42"))
def attach(
    container: Container,
    exec_id: Annotated[
        str | None,
        typer.Argument(metavar="EXEC", help="The id of an exec; else it is the container's own process."),
    ] = None,
    no_stdin: Annotated[bool, typer.Option("--no-stdin", help="Watch only, and type nothing in.")] = False,
    detach_keys: DetachKeys = "ctrl-p,ctrl-q",
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Connect this terminal with a running process.

    When that has ended, its code is that of this command. Whatever ends this command, Ctrl-C too, the process goes on; in a terminal the detach keys do, since Ctrl-C is
    typed into it. What it wrote while nobody was attached comes first, 64 KiB at most: more it cannot write then.
    """
    from containerd_aio.cli.attach import attach_to

    work = attach_to(
        container,
        exec_id,
        address=address,
        namespace=namespace,
        stdin=not no_stdin,
        detach_keys=detach_keys,
    )
    finish(work, failed=NOT_RUN)


@app.command(
    epilog=examples("cp web:/etc/passwd .", "cp ./www/. web:/srv/www", "cp web:/var/log - > log.tar")
)
def cp(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="CONTAINER:/path, a path, or - for a tar on stdin.", show_default=False
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="A path, CONTAINER:/path, or - for a tar on stdout.", show_default=False
        ),
    ],
    preserve: Annotated[
        bool,
        typer.Option("--preserve", "-p", help="Keep owners of what is copied in; else it is root's."),
    ] = False,
    parents: Annotated[
        bool, typer.Option("--parents", help="Make the directories that are missing in the container.")
    ] = False,
    skip_unsafe: Annotated[
        bool,
        typer.Option("--skip-unsafe", help="Leave out links that lead outside, devices and FIFOs."),
    ] = False,
    address: Address = None,
    namespace: Namespace = None,
) -> None:
    """Copy files into a container, or out of it.

    The container may run or not. A directory that is there takes the source into it; SOURCE/. copies its contents.
    What is copied out is refused where a link would lead outside of the copy; the tar on stdout has all as it is.
    """
    from containerd_aio.cli.cp import copy_files

    work = copy_files(
        source,
        target,
        address=address,
        namespace=namespace,
        preserve=preserve,
        parents=parents,
        skip_unsafe=skip_unsafe,
    )
    finish(work)
