"""A YAML language server, as editors start it: what it says of a text. `install` gets it by npm."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SERVER = HERE / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
SETTINGS = {"yaml": {"schemaStore": {"enable": False}, "validate": True, "completion": True}}


def is_here() -> bool:
    return SERVER.exists() and shutil.which("node") is not None


def install() -> bool:
    """With the versions and hashes of package-lock.json. Says whether it is here now."""
    npm = shutil.which("npm")
    if not is_here() and npm is not None:
        subprocess.run([npm, "ci", "--silent", "--no-audit", "--no-fund"], cwd=HERE, check=False)
    return is_here()


class Editor:
    """A conversation with the server over its stdin and stdout, by the protocol of editors (LSP)."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.process = subprocess.Popen(
            ["node", str(SERVER), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        able = {"textDocument": {"publishDiagnostics": {}}, "workspace": {"configuration": True}}
        self.ask(
            "initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": able}
        )
        self.tell("initialized", {})

    def problems(self, name: str, text: str) -> list[tuple[int, str]]:
        """Line, from 1, and message of each thing that an editor would underline."""
        uri = self._open(name, text)
        while True:
            said = self._next()
            told = said.get("params", {}) if "Diagnostics" in said.get("method", "") else {}
            if told.get("uri") == uri:
                found = told["diagnostics"]
                return [(one["range"]["start"]["line"] + 1, one["message"]) for one in found]

    def offers(self, name: str, text: str, line: int, column: int) -> list[str]:
        """What may be typed at a place, counted from 1."""
        where = {"line": line - 1, "character": column - 1}
        asked = {"textDocument": {"uri": self._open(name, text)}, "position": where}
        return [item["label"] for item in self.ask("textDocument/completion", asked)["items"]]

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, method: str, params: dict) -> Any:
        self.count += 1
        self._send({"id": self.count, "method": method, "params": params})
        while (said := self._next()).get("id") != self.count or "method" in said:
            pass
        return said["result"]

    def tell(self, method: str, params: dict) -> None:
        self._send({"method": method, "params": params})

    def _open(self, name: str, text: str) -> str:
        uri = (self.folder / name).as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})
        return uri

    def _send(self, message: dict) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _next(self) -> dict:
        """The next message; a question of the server's own is answered on the way."""
        size = 0
        while line := self.process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            size = int(value) if name.lower() == b"content-length" else size
        assert size, "the language server ended"
        said = json.loads(self.process.stdout.read(size))
        if "method" in said and "id" in said:
            items = said.get("params", {}).get("items", [])
            wanted = [SETTINGS.get(item.get("section")) for item in items]
            self._send({"id": said["id"], "result": wanted if items else None})
        return said


if __name__ == "__main__":
    sys.exit(0 if install() else 1)
