"""Checkpoints of a log (c2sp.org/tlog-checkpoint): how they are written and signed; `verifier` opens them.

A log signs each of its checkpoints twice with one key: the text alone, as every client of such logs
expects it, and as a cosignature, which states when. So the time of sealing is signed, and the text stays
three lines.
"""

from __future__ import annotations

from base64 import b64encode

from avow.evidence.note import Signer, join
from avow.evidence.verifier import Checkpoint, Opened, open_checkpoint

__all__ = ["NO_CHECKPOINT", "Checkpoint", "Opened", "open_checkpoint", "sign", "text_of"]

NO_CHECKPOINT = "no checkpoint"
"""What an epoch of a log goes on from where the one before it was never sealed."""


def text_of(checkpoint: Checkpoint) -> str:
    """The three lines of a checkpoint."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{b64encode(checkpoint.root).decode()}\n"


def sign(checkpoint: Checkpoint, signer: Signer, time: int) -> str:
    """The note of a checkpoint, signed by its log, whose origin is the signer's name.

    time: seconds since 1970. Raises ValueError for a checkpoint of another log.
    """
    if checkpoint.origin != signer.name:
        raise ValueError(f"a key of {signer.name} doesn't sign for {checkpoint.origin}")
    text = text_of(checkpoint)
    return join(text, signer.sign(text), signer.cosign(text, time))
