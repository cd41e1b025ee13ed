"""The stock JavaScript clients: built once from their pinned packages, then asked as the Python ones are."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Page

from browser.chromium import Tabs

SOURCES = Path(__file__).with_name("stock_clients")
NODE = Path(sys.executable).with_name("node")
NPM = Path(sys.executable).with_name("npm")
"""Of the virtual environment, so that a machine needs none of its own."""

PAGE = '<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,"><script src="web.js"></script></html>'


def build(folder: Path) -> Path:
    """Install the pinned packages into a folder and bundle the clients of OFREP. Returns the bundles' folder, which is below it."""
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
    _run(NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", folder=folder)
    for source, platform, result in (("web", "browser", "web.js"), ("server", "node", "server.bundle.mjs")):
        form = "iife" if platform == "browser" else "esm"
        options = (f"--platform={platform}", f"--format={form}", f"--outfile=built/{result}", "--log-level=warning")
        _run(NODE, "node_modules/esbuild/bin/esbuild", f"{source}.mjs", "--bundle", *options, folder=folder)
    (folder / "built" / "index.html").write_text(PAGE)
    return folder / "built"


def _run(*command: str | Path, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}"


def _described(found: Mapping[str, Any]) -> str:
    return found.get("variant") or f"{found.get('errorCode')}: {found.get('errorMessage')}"


class NodeClient:
    """The server provider, in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def details(self, key: str, **attributes: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"key": key, "context": attributes}) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def variant(self, key: str, **attributes: Any) -> str:
        """The variant that a user is served, or the error."""
        return _described(self.details(key, **attributes))


@contextmanager
def node_client(built: Path, base_url: str, headers: Mapping[str, str] | None = None) -> Iterator[NodeClient]:
    """The OFREP server provider under Node."""
    command = [NODE, built / "server.bundle.mjs", base_url, *([json.dumps(list(headers.items()))] if headers else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield NodeClient(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=10)


class WebClient:
    """The web provider in a tab. One user at a time: asking as another is what a page does when somebody signs in."""

    def __init__(self, page: Page, headers: Mapping[str, str] | None) -> None:
        self.page = page
        self._headers = list(headers.items()) if headers else None
        self._user: dict[str, Any] | None = None

    def become(self, **attributes: Any) -> None:
        """Be this user from now on."""
        if self._user is None:
            self.page.evaluate("([user, headers]) => start(user, headers ?? undefined)", [attributes, self._headers])
        elif self._user != attributes:
            self.page.evaluate("user => become(user)", attributes)
        self._user = attributes

    def details(self, key: str, **attributes: Any) -> dict[str, Any]:
        self.become(**attributes)
        found: dict[str, Any] = self.page.evaluate("key => details(key)", key)
        return found

    def variant(self, key: str, **attributes: Any) -> str:
        """The variant that a user is served, or the error. Of the same user as before nothing is asked: the page has been told."""
        return _described(self.details(key, **attributes))

    def told(self) -> list[str]:
        """What the provider said on its own, oldest first."""
        return [event["event"] for event in self.page.evaluate("told()")]


def in_process(built: Path, document: str, key: str, users: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What flagd's evaluator for JavaScript, which providers in process have, answers to each user of one flag of a set."""
    lines = "".join(json.dumps({"key": key, "context": user}) + "\n" for user in users)
    command = [NODE, built.parent / "in_process.mjs"]
    asked = f"{json.dumps(document)}\n{lines}"
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def site(built: Path) -> Iterator[str]:
    """The page on a server of its own: of another origin than the flags. Gives its origin."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(built)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def web_client(tabs: Tabs, origin: str, base_url: str, headers: Mapping[str, str] | None = None) -> WebClient:
    """The OFREP web provider in a new tab of the page."""
    return WebClient(tabs.open(f"{origin}/?{urlencode({'baseUrl': base_url})}"), headers)
