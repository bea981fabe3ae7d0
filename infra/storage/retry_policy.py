"""How often and how long a request to storage is tried. Numbers and one decision; nothing here waits or asks.

There is one layer of retries, around each single request: the libraries' own are switched off, since layers multiply
(s3fs' 5 times botocore's 5). Only aiohttp's stays, which has no switch: it sends a request once more, at once, whose
connection breaks. Above it, a job tries a frame again whose storage stayed away (`flows.retry_and_quarantine.policy`).
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.backoff import Backoff

__all__ = ["RETRY_POLICY", "RetryPolicy"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to keep trying. The defaults suit a render; tests shorten them.

    Attributes:
        attempts: of one request in all. Where one request in ten fails, six in a row fail once in a million.
        hung_attempts: the same where there was no answer at all: each costs `answer_seconds`, and whoever hung twice is
            no passing trouble.
        first_pause: seconds before the second attempt; doubled from then on. Six attempts pause for 3.1 s at most: a
            wrong address must show within seconds, and a longer trouble is the job's to wait for.
        longest_pause: seconds.
        connect_seconds: for a connection.
        answer_seconds: for an answer to begin or to go on.
        write_seconds: for a whole write with all its attempts, and `write_seconds_per_mb` more per MB: a hung server
            must not hold a worker for ever.
        check_seconds: for one question of a check, which somebody is waiting for.
    """

    attempts: int = 6
    hung_attempts: int = 2
    first_pause: float = 0.1
    longest_pause: float = 2.0
    connect_seconds: float = 3.0
    answer_seconds: float = 15.0
    write_seconds: float = 60.0
    write_seconds_per_mb: float = 1.0
    check_seconds: float = 10.0

    @property
    def backoff(self) -> Backoff:
        """The pauses between attempts."""
        return Backoff(self.first_pause, self.longest_pause)

    def pause(self, failed: int, chance: float, *, hung: bool = False) -> float | None:
        """Return the seconds to wait after `failed` attempts, None if that was the last.

        `chance` in [0, 1) spreads the pauses of many clients (see `Backoff`).
        """
        if failed >= (self.hung_attempts if hung else self.attempts):
            return None
        return self.backoff.seconds(failed, chance)

    def for_write(self, size: int) -> float:
        """Return the seconds that a write of `size` bytes may take."""
        return self.write_seconds + self.write_seconds_per_mb * size / 1e6


RETRY_POLICY = RetryPolicy()
