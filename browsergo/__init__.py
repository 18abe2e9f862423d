"""What all processes of Browser-Go V2 share, the agent and the CLI among it."""

__version__ = "2.0.0.dev1"
