"""`serve()`: the listening socket, and gunicorn around the application. Runs in the parent process until it forks."""

from __future__ import annotations

import errno
import logging
import os
import resource
import signal
import socket
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gunicorn.app.base import BaseApplication

from camera.errors import SettingError, VedetteError
from web.addresses import is_loopback

if TYPE_CHECKING:
    from flask import Flask

    from web.settings import Settings

log = logging.getLogger("vedette")

_BACKLOG: Final = 1024
_KEEP_ALIVE: Final = 5
"""Seconds for which a client may take to send its request's headers, or keep an idle connection."""
_CONNECTIONS: Final = 512
"""Ordinary requests in hand at a time. Viewers do not count: they have left gunicorn's hands."""
_HUNG_AFTER: Final = 120
"""Seconds after which gunicorn kills a worker whose hub has stopped; less has killed busy ones on slow machines."""
_RELEASE_WITHIN: Final = 1.0
"""Seconds that cameras have to be released after SIGTERM."""
_KILL_AFTER: Final = 5
"""Seconds after SIGTERM at which gunicorn kills a worker that has not ended."""
_OTHER_DESCRIPTORS: Final = 128
"""Descriptors that are neither viewers nor requests: cameras, libraries, the hub's own."""
_INHERITED: Final = ("LISTEN_FDS", "LISTEN_PID", "GUNICORN_FD", "GUNICORN_PID")
"""Through these gunicorn would take over sockets of which nobody has read off who can reach them."""


class RefusedError(VedetteError):
    """Vedette does not start like this; the message says what to change."""


def serve(settings: Settings) -> None:
    """Serve `settings` until SIGTERM or SIGINT; returns or raises `SystemExit` at the end.

    Raises `RefusedError` for a port that cannot be had, or that others could reach though nothing protects it.
    """
    _log_to_stderr(settings)
    listener = _bind(settings.host, settings.port)
    address = listener.getsockname()[0]
    if not is_loopback(address) and not settings.open:
        listener.close()
        raise RefusedError(
            f"others on the network can reach {address} port {settings.port} and nothing protects it: "
            "give --open to let everyone there watch, or leave --host out to serve this machine only"
        )
    for name in _INHERITED:
        os.environ.pop(name, None)
    _Server(_within_descriptors(settings), listener).run()


def _within_descriptors(settings: Settings) -> Settings:
    """`settings` with no more viewers than this process may have descriptors for, which is said."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_viewers + _CONNECTIONS + _OTHER_DESCRIPTORS
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most == needed:
        return settings
    viewers = max(1, most - _CONNECTIONS - _OTHER_DESCRIPTORS)
    log.warning("max_viewers is %d, not %d: this process may open %d files", viewers, settings.max_viewers, hard)
    return replace(settings, max_viewers=viewers)


def _bind(host: str, port: int) -> socket.socket:
    """A listening socket on `host` and `port`; what the world can reach is then read off the socket itself."""
    try:
        family, _, _, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a host name"
        raise SettingError(f"host: {host!r} is not an address of this machine ({why})") from error
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refusal(error, host, port) from error
    return listener


def _refusal(error: OSError, host: str, port: int) -> RefusedError:
    what = {
        errno.EADDRINUSE: f"port {port} is in use by another program (perhaps another vedette); give another --port",
        errno.EACCES: f"port {port} is only for root; give a --port of 1024 or more",
        errno.EADDRNOTAVAIL: f"{host} is not an address of this machine; give another --host",
    }
    return RefusedError(what.get(error.errno or 0, f"cannot listen on {host} port {port}: {error.strerror}"))


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn, set up in code: one worker, since a camera has one owner."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._app: Flask | None = None
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its settings."""
        for name, value in {
            # gunicorn closes the descriptor it is given, so it gets one of its own.
            "bind": f"fd://{os.dup(self._listener.fileno())}",
            "backlog": _BACKLOG,
            "workers": 1,
            "worker_class": "web.worker.HubWorker",
            "worker_connections": _CONNECTIONS,
            "keepalive": _KEEP_ALIVE,
            "timeout": _HUNG_AFTER,
            "graceful_timeout": _KILL_AFTER,
            # At "warning" it writes a line, with what was sent, for each malformed request of whoever passes by.
            "loglevel": "error",
            "control_socket_disable": True,
            "proc_name": "vedette",
            "when_ready": self._announce,
            "worker_exit": self._release,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """The application; called in the worker, after the fork."""
        from web import create_app
        from web.site import site_of

        self._listener.close()
        self._app = create_app(self._settings)
        site_of(self._app).start()
        return self._app

    def _announce(self, arbiter: Any) -> None:
        # gunicorn would reload or add workers at these, and a second worker would be a second owner of the cameras.
        for number in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH):
            signal.signal(number, signal.SIG_IGN)
        # A terminal that is closed ends what runs in it.
        signal.signal(signal.SIGHUP, lambda _number, frame: arbiter.signal(signal.SIGTERM, frame))
        host, port = self._listener.getsockname()[:2]
        shown = "localhost" if is_loopback(host) else f"[{host}]" if ":" in host else host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            shown = socket.gethostname()
        log.info("http://%s:%d/ shows the picture; Ctrl-C ends", shown, port)

    def _release(self, _arbiter: Any, _worker: Any) -> None:
        """The worker is about to exit: no capture thread may be inside OpenCV when Python goes down."""
        from web.site import site_of

        if self._app is not None and not site_of(self._app).close(_RELEASE_WITHIN):
            log.warning("a camera hangs inside its driver; the process ends without it")
            sys.stderr.flush()
            os._exit(0)


def _log_to_stderr(settings: Settings) -> None:
    logger = logging.getLogger("vedette")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger.handlers[:] = [handler]
    logger.setLevel(settings.log_level.upper())
    logger.propagate = False
