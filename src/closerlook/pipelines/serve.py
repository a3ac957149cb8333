"""A local page that shows the runs below a directory while they are trained: on this machine only, read only."""

from __future__ import annotations

import logging
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from bottle import Bottle, HTTPError, HTTPResponse, request

from closerlook.interruption import Interrupted
from closerlook.pipelines.live_runs import Command, LiveRuns
from closerlook.report.live_page import csp, list_page, run_page
from closerlook.results.run import RunError

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def serve(root: Path, port: int, *, command: Command, ready: Callable[[str], None]) -> None:
    """Show the runs below a directory until a signal asks to stop.

    Only this machine can reach it; who asks must know the token in the address (it is not guessable, and no other web
    page learns it), and must ask under the name of this machine, which a page that has its own name point here does
    not. It answers GET only, gives nothing but pages about runs below ``root``, and follows no link.

    Args:
        root: The directory.
        port: The port; 0 = a free one.
        command: Makes a command from overrides.
        ready: Called with the address once it answers.

    Raises:
        RunError: There is no such directory, or the port is taken.
    """
    if not root.is_dir():
        raise RunError(f"runs={root} is not a directory; expected the one that train.py writes into, e.g. runs=runs")
    token = secrets.token_urlsafe(24)
    try:
        server = make_server(HOST, port, application(root, token, command), _Server, _Quiet)
    except (OSError, OverflowError) as error:
        raise RunError(
            f"port={port} cannot be used ({error}): is another page served there? Choose another one, or a free one "
            "with port=0"
        ) from error
    try:
        ready(f"http://{HOST}:{server.server_port}/{token}/")
        server.serve_forever()
    except (Interrupted, KeyboardInterrupt):
        log.info("stopped")
    finally:
        server.server_close()


def application(root: Path, token: str, command: Command) -> Bottle:
    """The pages below ``/<token>/`` as a WSGI application.

    Args:
        root: The directory of the runs.
        token: What the address must begin with.
        command: Makes a command from overrides.
    """
    app, runs = Bottle(catchall=True), LiveRuns(root, command)
    app.default_error_handler = _error

    @app.get("/<given>/")
    def index(given: str) -> HTTPResponse:
        _require(given, token)
        return _page(list_page(str(root), runs.all()))

    @app.get("/<given>/run/<path:path>/")
    def one(given: str, path: str) -> HTTPResponse:
        _require(given, token)
        run = runs.one(_text(path))
        if run is None:
            raise HTTPError(404, "there is no such run")
        return _page(run_page(run))

    @app.get("/<given>/run/<path:path>/<name:re:[a-z]+\\.html>")
    def made(given: str, path: str, name: str) -> HTTPResponse:
        _require(given, token)
        content = runs.page(_text(path), name)
        if content is None:
            raise HTTPError(404, "there is no such page")
        # a page of a run may come from anybody: its scripts run in an origin of its own, without the token
        headers = {**_HEADERS, "Content-Type": "text/html; charset=utf-8"}
        headers["Content-Security-Policy"] = "sandbox allow-scripts allow-popups"
        return HTTPResponse(content, 200, **headers)

    return app


def _require(given: str, token: str) -> None:
    """Refuse whoever does not know the token, or asks under a name that is not this machine's.

    Raises:
        HTTPError: 403 or 404, with nothing about what is there.
    """
    port = request.environ["SERVER_PORT"]
    if request.environ.get("HTTP_HOST", "") not in {f"{name}:{port}" for name in (HOST, "localhost")}:
        raise HTTPError(403, "ask under the address that was printed")  # another site's name may point here
    if not secrets.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode()):
        raise HTTPError(404, "there is no such page")


def _text(path: str) -> str:
    return path.strip("/")


def _page(text: str) -> HTTPResponse:
    headers = {**_HEADERS, "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": csp()}
    return HTTPResponse(text.encode("utf-8", "replace"), 200, **headers)


def _error(error: Any) -> bytes:
    """Errors as plain text: nothing of the request is repeated, nothing of the program is shown."""
    reasons = {403: "forbidden", 404: "not found", 405: "GET only", 413: "too large"}
    for name, value in {**_HEADERS, "Content-Type": "text/plain; charset=utf-8"}.items():
        error.set_header(name, value)
    if error.status_code >= 500:
        log.warning("a page could not be made: %r", getattr(error, "exception", None))
    return f"{error.status_code} {reasons.get(error.status_code, 'error')}\n".encode()


class _Server(ThreadingMixIn, WSGIServer):
    """Answers several requests at once; none of them keeps the command from ending."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, which may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = HOST, self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that went away is no error of ours."""


class _Quiet(WSGIRequestHandler):
    """Says nothing about requests (the token is in them), and waits for none for ever."""

    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def address_string(self) -> str:
        """No name server is asked."""
        return HOST
