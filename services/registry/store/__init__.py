"""Where epochs are durable: one port, one adapter a database."""
