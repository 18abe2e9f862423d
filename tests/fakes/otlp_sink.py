"""An OTLP collector over gRPC, in this process: keeps every span it is sent, and the raw bytes of each request."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import NamedTuple, Self

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

AttributeValue = str | int | float | bool


class Process(NamedTuple):
    """Who recorded a span: `service.name` and `process.pid` of its Resource."""

    service: str
    pid: int


class CollectedSpan(NamedTuple):
    """One span as it arrived. Ids are raw bytes (no parent: b""); times are Unix ns."""

    name: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    start_ns: int
    end_ns: int
    process: Process
    attributes: dict[str, AttributeValue]


class OtlpSink:
    """The collector. `endpoint` is what OTEL_EXPORTER_OTLP_ENDPOINT takes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._spans: list[CollectedSpan] = []
        self._requests: list[bytes] = []
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
        add_TraceServiceServicer_to_server(_Servicer(self._take), self._server)  # type: ignore[no-untyped-call]
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=1).wait()

    def spans(self) -> list[CollectedSpan]:
        """All spans that have arrived, in the order of arrival."""
        with self._changed:
            return list(self._spans)

    def raw(self) -> bytes:
        """Every request as it came, joined: whatever a process exported stands in here."""
        with self._changed:
            return b"\n".join(self._requests)

    def wait_until(self, check: Callable[[list[CollectedSpan]], None], timeout_s: float) -> None:
        """Return as soon as `check` passes on the spans so far; at the deadline, raise what it last raised."""
        deadline = monotonic() + timeout_s
        with self._changed:
            while True:
                try:
                    return check(list(self._spans))
                except AssertionError:
                    left_s = deadline - monotonic()
                    if left_s <= 0:
                        raise
                self._changed.wait(left_s)

    def _take(self, request: ExportTraceServiceRequest) -> None:
        with self._changed:
            self._requests.append(request.SerializeToString())
            self._spans.extend(collected(request))
            self._changed.notify_all()


class _Servicer(TraceServiceServicer):
    def __init__(self, take: Callable[[ExportTraceServiceRequest], None]) -> None:
        self._take = take

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        self._take(request)
        return ExportTraceServiceResponse()


def collected(request: ExportTraceServiceRequest) -> list[CollectedSpan]:
    """The spans of one export, each with the process of its Resource."""
    return [
        _collected(span, _process(resource_spans.resource))
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def _collected(span: Span, process: Process) -> CollectedSpan:
    return CollectedSpan(
        name=span.name,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_span_id,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        process=process,
        attributes=_attributes(span.attributes),
    )


def _process(resource: Resource) -> Process:
    attributes = _attributes(resource.attributes)
    return Process(str(attributes.get("service.name", "")), int(attributes.get("process.pid", 0)))


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, AttributeValue]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> AttributeValue:
    kind = value.WhichOneof("value")
    return str(value) if kind is None else getattr(value, kind)
