"""Whether a published checkpoint is the one that it should be."""

from dataclasses import dataclass
from pathlib import Path

from a2inet_jax import atomic


@dataclass(frozen=True)
class Checksum:
    """The SHA-256 that the published file of some weights should have.

    Attributes:
      weights: their name.
      known: it, or the beginning of it that the publisher tells, in hexadecimal; "" if nobody has told it.
      record: the file that holds the one that the published file had at first use.
    """

    weights: str
    known: str
    record: Path

    def mismatch(self, digest: str) -> str:
        """What tells a file's SHA-256 from the one that is known or recorded, "" for nothing."""
        if not digest.startswith(self.known):
            begins = "a SHA-256 that begins with" if len(self.known) < 64 else "SHA-256"
            return (
                f"SHA-256 {digest}, but {self.weights} has {begins} {self.known}. Fetch it again; "
                "if it stays so, the file was changed: do not use it"
            )
        if self.record.exists() and (first := self.record.read_text().strip()) != digest:
            return (
                f"SHA-256 {digest}, but {self.weights} had {first} at first use. Fetch it again; "
                f"if it stays so and you trust the new file, remove {self.record}"
            )
        return ""

    def remember(self, digest: str) -> None:
        """Record the SHA-256 of a first use, where it was not known whole beforehand."""
        if len(self.known) < 64 and not self.record.exists():
            atomic.write(self.record, f"{digest}\n".encode())
