"""When a member of a pool that fails is tried again, and when it is left alone for a while. Pure."""

from dataclasses import dataclass

FAILURES = 5
RETRY_S = 1.0
EJECTED_S = 10.0


@dataclass(slots=True)
class Ejection:
    """One member: after FAILURES failures in a row it is out, for EJECTED_S at a time, until it works again."""

    failures: int = 0

    @property
    def out(self) -> bool:
        """Whether it is ejected."""
        return self.failures >= FAILURES

    def failed(self) -> float:
        """It failed once more; in how many seconds to try again."""
        self.failures += 1
        return EJECTED_S if self.out else RETRY_S

    def worked(self) -> None:
        """It did what it is for."""
        self.failures = 0
