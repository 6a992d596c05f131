"""Webhooks are signed as Standard Webhooks has it."""

from __future__ import annotations

import pytest

from avow.testing import webhook_headers

# The example that the standard's own libraries are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP_S = 1614265330
BODY = b'{"test": 2432232314}'


def test_the_standards_example_is_signed_alike() -> None:
    assert webhook_headers(SECRET, ID, TIMESTAMP_S, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": str(TIMESTAMP_S),
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize(
    ("secret", "because"),
    [("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with whsec_"), ("whsec_not base64", "base64")],
)
def test_a_secret_of_another_kind_is_refused(secret: str, because: str) -> None:
    with pytest.raises(ValueError, match=because):
        webhook_headers(secret, ID, TIMESTAMP_S, BODY)
