"""What an agent can be told, and what it refuses to be told."""

from pathlib import Path

import pytest

from browsergo.agent.browser import Browser
from browsergo.agent.config import AgentConfig
from browsergo.chassis.config import ConfigError, ProcessConfig
from deploy.config import UpConfig


def load(*argv: str, environ: dict[str, str] | None = None) -> AgentConfig:
    return AgentConfig.load(argv, environ or {})


def test_edges_keep_their_order_and_lose_a_trailing_slash() -> None:
    config = load("--edges", "ws://127.0.0.1:1/", "--edges", "wss://edge.example/relay/")
    assert config.edges == ["ws://127.0.0.1:1", "wss://edge.example/relay"]


def test_labels_are_pairs_and_a_value_may_hold_an_equals_sign() -> None:
    assert load("--label", "room=lab", "--label", "note=a=b").labels == {"room": "lab", "note": "a=b"}


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--edges", "http://127.0.0.1:3000"], "edges"),
        (["--edges", "ws://127.0.0.1:port"], "edges"),
        (["--edges", "ws://127.0.0.1:99999"], "edges"),
        (["--edges", "ws://"], "edges"),
        (["--edges", "ws://two words:3000"], "edges"),
        (["--edges", "ws://127.0.0.1:3000?token=SECRETSECRET"], "edges"),
        (["--edges", "ws://user:SECRETSECRET@127.0.0.1:3000"], "edges"),
        (["--device-id", "no spaces"], "device-id"),
        (["--label", "novalue"], "label"),
        (["--pool", "9"], "pool"),
        (["--cdp", "http://127.0.0.1:9222", "--chrome", "/bin/true"], "give one of them"),
    ],
)
def test_what_cannot_work_is_refused_by_name_and_without_secrets(words: list[str], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(*words)
    assert key in str(refused.value)
    assert "SECRETSECRET" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "chrome",
        "127.0.0.1:9222",
        "ws://127.0.0.1:9222",
        "ws://127.0.0.1:9222/devtools/browser/SECRETSECRET",
        "https://chrome:9222",
        "http://",
        "http://:9222",
        "http://chrome:debugging",
        "http://chrome:0",
        "http://chrome:99999",
        "http://chrome:9222/json/version",
        "http://chrome:9222?token=SECRETSECRET",
        "http://user:SECRETSECRET@chrome:9222",
        "http://two words:9222",
        "http://a..b:9222",
        f"http://{'x' * 64}:9222",
        "http://[::1:9222",
        "http://[::g]:9222",
        "http://fe80::1:9222",
    ],
)
@pytest.mark.parametrize("config", [AgentConfig, UpConfig])
def test_a_browser_is_named_by_nothing_but_host_and_port(config: type[ProcessConfig], url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config.load(["--cdp", url], {})
    words = str(refused.value)
    assert words.startswith("cdp: this is http://HOST:PORT")
    assert "--remote-debugging-port" in words
    assert "SECRETSECRET" not in words
    assert "\n" not in words


def test_an_unknown_variable_is_refused() -> None:
    with pytest.raises(ConfigError, match="BROWSERGO_AGENT_EDGE: no such setting"):
        load(environ={"BROWSERGO_AGENT_EDGE": "ws://127.0.0.1:3000"})


def test_a_token_is_read_afresh_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    config = load("--token-file", str(path))
    with pytest.raises(FileNotFoundError):
        config.read_token()
    for token in ("first", "second"):
        path.write_text(f"  {token}\n")
        assert config.read_token() == token


def test_a_token_may_come_by_environment_and_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    config = load(environ={"BROWSERGO_AGENT_TOKEN": "hush-hush-token"})
    assert config.read_token() == "hush-hush-token"
    print(repr(config), config)
    assert "hush" not in capsys.readouterr().out


def test_no_token_is_the_empty_one() -> None:
    assert load().read_token() == ""


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"two tokens", b"two\nlines", "töken".encode()])
def test_a_file_that_holds_no_token_is_an_error_that_does_not_repeat_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="does not hold one token") as error:
        load("--token-file", str(path)).read_token()
    assert "two" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://127.0.0.1:9333", "127.0.0.1", 9333),
        ("http://localhost", "localhost", 9222),
        ("http://[::1]:9333/", "::1", 9333),
        ("http://chrome:9222/", "chrome", 9222),
        ("HTTP://browser_1.lab.example.:9333", "browser_1.lab.example.", 9333),
    ],
)
def test_a_running_browser_is_named_by_its_url(url: str, host: str, port: int) -> None:
    browser = Browser.at(load("--cdp", url).cdp or "")
    assert (browser.host, browser.port) == (host, port)
