"""The delivery protocol: frames, the client end and the device end of a channel (design/delivery.md)."""
