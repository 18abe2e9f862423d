"""Pure code: decides, and does nothing else. No I/O, no clock, no chance (design/architecture.md)."""
