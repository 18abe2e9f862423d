"""Generated from protos/browsergo/v2; `make protos` writes it, `make protos-check` compares it."""
