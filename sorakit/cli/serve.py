"""`sorakit serve`: answer other people's checks from this registry."""

import re
import socket
from pathlib import Path
from typing import Annotated

import typer

from sorakit.cli.ui import console
from sorakit.errors import UsageError

_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets the whole net ask.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8321,
    token_file: Annotated[
        Path | None, typer.Option(help="File (mode 0600) with a token that callers must present.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="A host name that callers may use; needed beside loopback unless --host is public."
        ),
    ] = None,
    max_upload: Annotated[int, typer.Option(min=1, max=8192, help="MB of one uploaded video.")] = 256,
    rate: Annotated[int, typer.Option(min=1, help="Requests a minute of one address.")] = 240,
) -> None:
    """Serve the C2PA Soft Binding Resolution API: from a mark, or a video, to its published manifest.

    Read-only. Needs the extra `serve`. Others then use: sorakit check FILE --resolver URL. Put it behind a
    server that speaks HTTPS before others can reach it.

    [bold]Example:[/]  sorakit serve --port 8321
    """
    try:
        import uvicorn  # noqa: PLC0415 - an extra
    except ImportError as e:
        raise UsageError(
            "serving needs more packages; install them with: pip install 'sorakit[serve]'"
        ) from e

    from sorakit.api.app import LOOPBACK, create_app  # noqa: PLC0415
    from sorakit.api.limits import Limits  # noqa: PLC0415
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.registry.address import is_loopback  # noqa: PLC0415
    from sorakit.registry.repo import Registry  # noqa: PLC0415

    settings = Settings()
    limits = Limits(token=_token(token_file), upload_bytes=max_upload << 20, per_minute=rate)
    hosts = (*LOOPBACK, *map(_host_name, name or [])) if is_loopback(host) or name else ("*",)
    with Registry(settings.database_url, read_only=True) as registry, _listen(host, port) as door:
        app = create_app(registry, settings=settings, limits=limits, hosts=hosts)
        shown = f"[{host}]" if ":" in host else host
        console.print(f"serving on http://{shown}:{door.getsockname()[1]}, Ctrl-C ends it")
        if not is_loopback(host) and limits.token is None:
            console.print("anyone who reaches this address may ask; --token-file asks for a token")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # else any caller could choose the address that its rate is counted by
            limit_concurrency=4 * limits.requests,
            backlog=256,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=32 << 10,
            http="h11",
            ws="none",
            lifespan="off",
        )
        uvicorn.Server(config).run(sockets=[door])


def _host_name(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise UsageError(f"--name must be a host name without port, such as c2pa.example.org, got {text!r}")
    return text


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    from sorakit.private_files import read_private  # noqa: PLC0415

    token = read_private(path).decode("utf-8", "replace").strip()
    if not (16 <= len(token) <= 512 and token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(
            f"{path} must hold one token of 16 to 512 plain characters; make one with: openssl rand -hex 32"
        )
    return token


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        door = socket.socket(family, kind)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
        door.listen(256)  # who asks from now on waits instead of being turned away
    except (OSError, UnicodeError) as e:  # a name that no DNS knows
        why = getattr(e, "strerror", None) or e
        raise UsageError(f"cannot listen on {host} port {port}: {why}; choose another") from e
    return door
