"""How every process starts, talks gRPC, logs and stops. Knows nothing about browsers."""
