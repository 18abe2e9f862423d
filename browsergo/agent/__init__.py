"""The agent: runs beside one browser, dials out to an edge, and is the device end of every channel."""
