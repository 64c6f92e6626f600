"""Check of a published checkpoint's SHA-256 against the known or recorded one."""

from dataclasses import dataclass
from pathlib import Path

from a2inet_jax import files


@dataclass(frozen=True)
class Checksum:
    """The SHA-256 that the published file of some weights should have.

    Attributes:
        weights: The name of the weights.
        known: The SHA-256 in hexadecimal, or its beginning if the publisher states no more; "" if unknown.
        record: The file that keeps the SHA-256 seen at first use.
    """

    weights: str
    known: str
    record: Path

    def mismatch(self, digest: str) -> str:
        """Return why a file's SHA-256 is not the known or recorded one; "" if it is."""
        if not digest.startswith(self.known):
            begins = "a SHA-256 that begins with" if len(self.known) < 64 else "SHA-256"
            return (
                f"SHA-256 {digest}, but {self.weights} has {begins} {self.known}. Fetch it again; "
                "if that does not help, the file was changed: do not use it"
            )
        if self.record.exists() and (first := self.record.read_text().strip()) != digest:
            return (
                f"SHA-256 {digest}, but {self.weights} had {first} at first use. Fetch it again; "
                f"if that does not help and you trust the new file, remove {self.record}"
            )
        return ""

    def remember(self, digest: str) -> None:
        """Record the SHA-256 at first use, unless all of it is known already."""
        if len(self.known) < 64 and not self.record.exists():
            files.write(self.record, f"{digest}\n".encode())
