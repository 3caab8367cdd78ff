"""A real Chromium without a screen, spoken to in its DevTools protocol over two pipes: no package, no network."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_PATIENCE = 60.0  # seconds

#: Keys that are no letters or digits: code and number.
_KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "Backspace": 8, "Enter": 13, " ": 32}


class Browser:
    """One page of a browser.

    Attributes:
        downloads: Folder of what is downloaded.
        requests: Addresses that pages asked for, but for those inside the page (``data:``, ``blob:``).
        errors: What went wrong in the page's script.
    """

    def __init__(self, process: subprocess.Popen[bytes], write: int, read: int, downloads: Path) -> None:
        self._process, self._write, self._read = process, write, read
        self.downloads = downloads
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._number, self._rest, self._session = 0, b"", None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.send(f"{domain}.enable")
        self.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads), session=None)

    def send(self, method: str, session: str | None = "", **arguments: Any) -> dict[str, Any]:
        """Send a command, and wait for its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": arguments}
        if (session := self._session if session == "" else session) is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            if not (more := os.read(self._read, 1 << 20)):
                raise RuntimeError("the browser is gone")
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Network.requestWillBeSent":
            address = event["params"]["request"]["url"]
            if not address.startswith(("data:", "blob:")):
                self.requests.append(address)
        elif event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(event["params"]["exceptionDetails"])[:500])

    def open(self, path: Path, *, width: int = 1280, height: int = 900, phone: bool = False) -> None:
        """Open a file, on a screen of a size in CSS pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def run(self, script: str) -> Any:
        """Value of an expression in the page."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(RuntimeError):  # the page that is left is gone before the next is there
                if self.run(script):
                    return
            if time.monotonic() > end:
                raise TimeoutError(script)
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """Press a key: a letter, a digit, or a name of ``_KEYS``."""
        code = f"Digit{key}" if key.isdigit() else f"Key{key.upper()}" if key.isalpha() and len(key) == 1 else key
        number = _KEYS.get(key) or ord(key.upper())
        event = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, selector: str) -> None:
        """Click in the middle of an element with the mouse."""
        x, y = self.run(
            f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{ block: "center", behavior: "instant" }});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        """Write what is on the screen as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def downloaded(self, name: str) -> Path:
        """A file that is downloaded, once it is whole."""
        path, end = self.downloads / name, time.monotonic() + _PATIENCE
        while not path.exists() or path.with_name(f"{name}.crdownload").exists() or not path.stat().st_size:
            if time.monotonic() > end:
                raise TimeoutError(f"{name} is not downloaded")
            time.sleep(0.02)
        return path

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            self.send("Browser.close", session=None)
        for pipe in (self._write, self._read):
            os.close(pipe)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Start a Chromium that keeps everything in a folder."""
    downloads = folder / "downloads"
    downloads.mkdir(parents=True)
    ours_read, theirs_write = os.pipe()
    theirs_read, ours_write = os.pipe()
    flags = "--headless=new --remote-debugging-pipe --no-sandbox --disable-gpu --no-first-run --disable-dev-shm-usage"
    quiet = "--disable-background-networking --disable-component-update --disable-sync --no-default-browser-check"
    profile = f"--user-data-dir={folder / 'profile'}"
    # the protocol's pipes are the file descriptors 3 and 4; free ones above 9 while they are put there
    high = [fcntl.fcntl(each, fcntl.F_DUPFD, 20) for each in (theirs_read, theirs_write)]
    process = subprocess.Popen(
        [
            "/bin/bash",
            "-c",
            f'exec "$0" {flags} {quiet} "$1" 3<&{high[0]} 4>&{high[1]} {high[0]}<&- {high[1]}>&-',
            CHROMIUM,
            profile,
        ],
        pass_fds=high,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(folder), "TMPDIR": str(folder)},
    )
    for each in (theirs_read, theirs_write, *high):
        os.close(each)
    browser = None
    try:
        browser = Browser(process, ours_write, ours_read, downloads)
        yield browser
    finally:
        if browser is None:
            process.kill()
            process.wait()
        else:
            browser.close()
