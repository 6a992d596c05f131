"""Asking a keyring, which may be the owner's and ask a service: it holds up nothing else, and isn't believed.

A key that can't be unwrapped again would take everything with it that is encrypted under it. So each is
unwrapped once before it is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from avow.engine.privacy.cipher import KEY_BYTES
from avow.engine.privacy.keyring import FileKeyring, Keyring, MemoryKeyring
from avow.errors import EnvironmentFault

ANSWER_S_MAX: Final = 10.0
"""How long a keyring of the owner's may take for one key."""

_MEND: Final = "Look at the object that AVOW_PRIVATE_KEY names, and at the service for keys that it asks."


async def wrap(keyring: Keyring, key: bytes, context: bytes) -> tuple[str, bytes]:
    """The name of the current key of keys, and `key` under it. Raises EnvironmentFault where the keyring
    fails, or doesn't give the same key back."""
    made: Any = await _ask(keyring, keyring.wrap, key, context)
    match made:
        case (str() as name, bytes() as wrapped) if name and wrapped:
            pass
        case _:
            raise _fault("what it wraps isn't a name and bytes")
    if await unwrap(keyring, name, wrapped, context) != key:
        raise _fault("what it wraps isn't what it unwraps")
    return name, wrapped


async def unwrap(keyring: Keyring, name: str, wrapped: bytes, context: bytes) -> bytes:
    """The key. Raises EnvironmentFault where the keyring fails, or gives no key of ours."""
    key: Any = await _ask(keyring, keyring.unwrap, name, wrapped, context)
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise _fault(f"what it unwraps isn't a key of {KEY_BYTES} bytes")
    return key


async def _ask(keyring: Keyring, work: Callable[..., Any], *given: Any) -> Any:
    """What it answers; of one of ours at once, of another one without anything waiting for it."""
    if isinstance(keyring, (FileKeyring, MemoryKeyring)):
        return work(*given)
    try:
        return await asyncio.wait_for(asyncio.to_thread(work, *given), ANSWER_S_MAX)
    except EnvironmentFault:
        raise
    except TimeoutError:
        raise _fault(f"it didn't answer within {ANSWER_S_MAX:.0f} s") from None
    except Exception as error:  # noqa: BLE001  whatever it is, it is the keyring's
        # Its words may hold what it was given; the kind of failure doesn't.
        raise _fault(f"it failed: {type(error).__name__}") from None


def _fault(said: str) -> EnvironmentFault:
    return EnvironmentFault(
        "private-key-service", f"the keyring of private values can't be used: {said}", _MEND
    )
