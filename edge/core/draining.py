"""How fast clients are sent away that stayed to the end of a drain. Pure."""

NO_HERD_S = 0.1  # between two of them: ten that come back in a second are no herd to any edge


def gap_s(clients: int, spread_s: float) -> float:
    """The time between the ends of two of so many clients: even over `spread_s`, or quicker if they are few."""
    return min(spread_s / clients, NO_HERD_S)
