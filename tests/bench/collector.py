"""`python -m tests.bench.collector`: takes OTLP traces and forgets them; prints where it listens, ends with its stdin.

It reads nothing of them, so that on a machine of two cores it is no part of what is measured.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import DESCRIPTOR, ExportTraceServiceResponse

SERVICE = DESCRIPTOR.services_by_name["TraceService"].full_name


def main() -> None:
    """Serve until stdin ends."""
    answer = ExportTraceServiceResponse().SerializeToString()
    export = grpc.unary_unary_rpc_method_handler(lambda *_: answer)
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {"Export": export})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"http://127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
