"""The edge: the one process that holds sockets of devices, clients and operators."""
