"""A headless Chromium, driven over a pipe in its own protocol: no driver and no library.

https://chromedevtools.github.io/devtools-protocol/ is the protocol; each message is JSON that
ends with a zero byte, read by the browser from its file 3 and written to its file 4.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPS = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium")  # fmt: skip

AS_3_AND_4 = """
import fcntl, os, sys
down, up = (fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3])
os.dup2(down, 3), os.dup2(up, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Becomes the browser, with our ends of the pipes where it looks for them."""


def find_chromium() -> str | None:
    """The browser of this machine; `CHROMIUM` says another."""
    named = [os.environ.get("CHROMIUM", ""), *(shutil.which(name) or "" for name in NAMES)]
    return next((path for path in (*named, *APPS) if path and Path(path).exists()), None)


class Chromium:
    def __init__(self, program: str, profile: Path) -> None:
        down, self._write = os.pipe()
        self._read, up = os.pipe()
        flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-extensions", "--disable-background-networking",
            "--disable-component-update", "--hide-scrollbars", "--force-color-profile=srgb",
            f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-ISc", AS_3_AND_4, str(down), str(up), program, *flags],
            pass_fds=(down, up), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        os.close(down)
        os.close(up)
        self._number, self._rest = 0, b""
        self._answers: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(self._read, selectors.EVENT_READ)

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:  # a pipe takes so much at once
            data = data[os.write(self._write, data) :]
        number, until = self._number, time.monotonic() + 60
        while number not in self._answers:
            self.hear(until - time.monotonic())
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def hear(self, seconds: float) -> None:
        """Take in what the browser says next."""
        if not self._waiting.select(max(0.0, seconds)):
            raise TimeoutError("Chromium does not answer")
        data = os.read(self._read, 1 << 20)
        assert data, f"Chromium went away with {self._process.poll()}"
        *whole, self._rest = (self._rest + data).split(b"\0")
        for text in whole:
            message = json.loads(text)
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self.events.append(message)

    def open(self, file: Path, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, attached["sessionId"], target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        page.call("Page.navigate", url=file.as_uri())
        page.wait("Page.loadEventFired")
        page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return page

    def close(self) -> None:
        os.close(self._write)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._read)
        self._waiting.close()


class Page:
    """One tab. What `run` gives is what the script's last value is, or comes to be."""

    def __init__(self, browser: Chromium, session: str, target: str) -> None:
        self._browser, self._session, self._target = browser, session, target

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def said(self, method: str) -> list[dict[str, Any]]:
        return [
            event["params"]
            for event in self._browser.events
            if event.get("sessionId") == self._session and event["method"] == method
        ]

    def wait(self, method: str) -> None:
        until = time.monotonic() + 60
        while not self.said(method):
            self._browser.hear(until - time.monotonic())

    def run(self, script: str) -> Any:
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def click(self, selector: str) -> None:
        """A real click, where the element is: what covers it would get it instead."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center', inline: 'center'});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]"
            "; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        text = {"Enter": "\r", " ": " "}.get(key, "")
        code = {"Enter": 13, " ": 32, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
                "ArrowDown": 40, "Home": 36, "End": 35}[key]  # fmt: skip
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code,
                      code="Space" if key == " " else key, text=text if kind == "keyDown" else "")  # fmt: skip

    def screenshot(self, file: Path, whole: bool = True) -> None:
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole, **(
            {"clip": {**self._size(), "x": 0, "y": 0, "scale": 1}} if whole else {}))  # fmt: skip
        file.write_bytes(base64.b64decode(shot["data"]))

    def _size(self) -> dict[str, float]:
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"width": size["width"], "height": size["height"]}

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)


if __name__ == "__main__":  # for the Makefile: is there one?
    sys.exit(0 if find_chromium() else 1)
