"""Every CDP command is one trace across client edge, router, device edge and agent, and tells nobody's secrets."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from browsergo.core import semconv
from tests.e2e.chrome import DirectChrome
from tests.e2e.raw_cdp import RawClient
from tests.e2e.trace_check import BrokenTrace, Caller, check_command_trees, traceparent
from tests.fakes.otlp_sink import OtlpSink, Process
from tests.fakes.parts import Parts

pytestmark = pytest.mark.chrome

COMMANDS = 50
CANARY = "canary4f1d"
EXPORT_TIMEOUT_S = 15.0
SERVICES = {
    "edge-1": semconv.SERVICE_EDGE,
    "router-1": semconv.SERVICE_ROUTER,
    "edge-2": semconv.SERVICE_EDGE,
    "agent-laptop": semconv.SERVICE_AGENT,
}
SILENT = {"OTEL_SDK_DISABLED": "true"}


class TracedRelay:
    """A relay of single processes that exports to `sink`; the device `laptop` dials edge-2, clients dial edge-1."""

    def __init__(self, parts: Parts, sink: OtlpSink, processes: Mapping[str, Process]) -> None:
        self.parts, self.sink, self.processes = parts, sink, processes
        self.client_ws = parts.client_ws("edge-1", "laptop")


@contextmanager
def traced_relay(folder: Path, chrome: DirectChrome, silent: str = "") -> Iterator[TracedRelay]:
    """Such a relay; the process named `silent` has its export switched off."""

    def environment(name: str) -> Mapping[str, str]:
        return SILENT if name == silent else {}

    with OtlpSink() as sink, Parts(folder, {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}) as parts:
        parts.registry()
        started = [parts.router("router-1", environment("router-1"))]
        parts.control()
        started += [parts.edge(name, environment(name)) for name in ("edge-1", "edge-2")]
        started.append(parts.agent("laptop", ["edge-2"], f"http://{chrome.address}"))
        yield TracedRelay(parts, sink, {part.name: Process(SERVICES[part.name], part.pid) for part in started})


def converse(client: RawClient) -> list[str]:
    """Fifty commands full of canaries, some one by one, some in one go; the methods sent, as traces spell them."""
    target = client.call("Target.createTarget", {"url": f"data:text/html,<title>{CANARY}</title>"})["targetId"]
    session = client.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
    for number in range(20):
        assert client.evaluate(f"'{CANARY}' + {number}", session) == f"{CANARY}{number}"
    for number in range(100, 125):
        client.send(number, "Runtime.evaluate", {"expression": f"document.cookie = '{CANARY}={number}'"}, session)
    client.send(125, f"{CANARY} is no method", session=session)
    client.send(126, "Page.navigate", {"url": f"nowhere:{CANARY}", "referrer": CANARY}, session)
    # The browser process answers what it knows to be wrong at once, ahead of the page's answers: so by id.
    answers = {message["id"]: message for message in client.receive_answers(27) if "id" in message}
    assert sorted(answers) == list(range(100, 127))
    assert "error" in answers[125]
    client.call("Target.closeTarget", {"targetId": target})
    methods = ["Target.createTarget", "Target.attachToTarget", *["Runtime.evaluate"] * 45, semconv.OTHER_METHOD]
    methods += ["Page.navigate", "Target.closeTarget"]
    assert len(methods) == COMMANDS
    return methods


def test_each_command_is_one_tree_over_four_processes_without_its_contents(
    tmp_path: Path, direct_chrome: DirectChrome
) -> None:
    with traced_relay(tmp_path, direct_chrome) as relay:
        with RawClient(relay.client_ws) as client:
            methods = converse(client)
        relay.sink.wait_until(lambda spans: check_command_trees(spans, methods, relay.processes), EXPORT_TIMEOUT_S)
        relay.parts.stop()
        check_command_trees(relay.sink.spans(), methods, relay.processes)  # nothing came late that breaks it
        token = relay.client_ws.partition("token=")[2]
        exported = relay.sink.raw()
        for secret in (CANARY, token, token.rpartition(".")[2]):
            assert secret.encode() not in exported
            assert secret not in relay.parts.logs()


@pytest.mark.parametrize("silent", [pytest.param("router-1", marks=pytest.mark.slow), "edge-2"])
def test_a_process_that_exports_nothing_is_noticed_by_name(
    tmp_path: Path, direct_chrome: DirectChrome, silent: str
) -> None:
    with traced_relay(tmp_path, direct_chrome, silent) as relay:
        with RawClient(relay.client_ws) as client:
            methods = converse(client)
        relay.parts.stop()  # each process sends what it has queued before it ends
        with pytest.raises(BrokenTrace, match=rf"no span of .*{SERVICES[silent]} \({silent}, "):
            check_command_trees(relay.sink.spans(), methods, relay.processes)


def test_a_clients_traceparent_is_the_parent_of_its_commands(tmp_path: Path, direct_chrome: DirectChrome) -> None:
    caller = Caller(bytes.fromhex("0af7651916cd43dd8448eb211c80319c"), bytes.fromhex("b7ad6b7169203331"))
    with traced_relay(tmp_path, direct_chrome) as relay:
        with RawClient(relay.client_ws, headers={"traceparent": traceparent(caller)}) as client:
            methods = converse(client)
        relay.sink.wait_until(
            lambda spans: check_command_trees(spans, methods, relay.processes, caller), EXPORT_TIMEOUT_S
        )
