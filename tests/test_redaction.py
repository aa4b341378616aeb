"""What is taken out of a text before it is shown, and what is not."""

from __future__ import annotations

import pytest

from cortexbuild.cli import main
from cortexbuild.errors import CortexError
from cortexbuild.redaction import redacted

SECRET = "canary-1d9a7e"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"https://me:{SECRET}@host:8/a/b", "https://host:8/a/b"),
        (f"https://{SECRET}@host", "https://host"),
        (f"https://host?{SECRET}", "https://host?…"),
        (f"https://me:{SECRET}?@host/x", "https://host/x"),
        (f"https://me:p@{SECRET}@host/x is wrong", "https://host/x is wrong"),
        (
            f"`https://h/m.gguf?sig={SECRET}&v=1#sha256=ab`",
            "`https://h/m.gguf?sig=…&v=…#sha256=ab`",
        ),
        (f"GET https://h/x?{SECRET}: 403", "GET https://h/x?… 403"),
        (f"exceeded with url: /x?a={SECRET} (Caused by", "exceeded with url: /x?a=… (Caused by"),
        (
            f"{{'authorization': 'Bearer {SECRET}', 'a': 1}}",
            "{'authorization': 'Bearer …', 'a': 1}",
        ),
        (f"Authorization: Basic {SECRET}", "Authorization: Basic …"),
        ("hf_AbCdEfGhIjKlMnOpQrStUv is no token", "hf_… is no token"),
        (f"ci:secret:{'A' * 43}=", "ci:secret:…"),
    ],
)
def test_what_says_who_one_is_goes(text, shown):
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://host:8/a/b@main", "hf:org/name@refs/pr/1/x.gguf", "s3://bucket/prefix",
        "put user:password@ into HTTPS_PROXY", "write it `name:tag`; is it right?", "a = b & c",
        "hf_hub_download is not there", "the token of HF_TOKEN was used", "basic quantization",
        "file:///mnt/models#sha256=ab", "path:weights", "me@host.example",
    ],
)  # fmt: skip
def test_what_a_message_is_about_stays(text):
    assert redacted(text) == text


def test_what_the_environment_has_of_secrets_goes_wherever_it_is(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", " quite/secret\n")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pass%20word@proxy:3128")
    monkeypatch.setenv("CORTEX_SIGNING_KEY", "ci-2026:secret:abcdefgh")
    monkeypatch.setenv("HF_TOKEN_PATH", "/home/me/token")
    monkeypatch.setenv("MY_PASSWORD", "ci")
    said = "ci-2026: quite/secret quite%2Fsecret pass%20word pass word abcdefgh /home/me/token"
    assert redacted(said) == "ci-2026: … … … … … /home/me/token"


def test_no_error_of_ours_shows_a_credential():
    error = CortexError(f"https://me:{SECRET}@host is away", hint=f"try https://h?k={SECRET}")
    assert (str(error), error.hint) == ("https://host is away", "try https://h?k=…")


def test_a_bug_is_told_of_without_what_it_quotes(monkeypatch, capsys):
    def quickly(words):
        raise LookupError(f"https://me:{SECRET}@host/?a={SECRET}")

    monkeypatch.setattr(main, "quickly", quickly)
    assert main.main(["list"]) == 70
    said = capsys.readouterr().err
    assert "LookupError: https://host/?a=…" in said and SECRET not in said
