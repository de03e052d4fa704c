"""What workers are given beside the items."""

from __future__ import annotations

import pytest

from batch_runner.cluster.orders import Order
from batch_runner.errors import UsageError
from tests.harness import some_settings


def an_order(provider: str = "baicai") -> Order:
    return Order(
        settings=some_settings(), provider=provider, description=None, workflows={}, files=None
    )


def test_order_is_the_same_on_another_host() -> None:
    assert Order.from_json(an_order().to_json(), {}) == an_order()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"settings": {"from_the_future": 1}}'])
def test_order_of_another_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="another version"):
        Order.from_json(text, {})


@pytest.mark.parametrize(
    ("provider", "message"),
    [("unknown", "no provider unknown"), ("comfyui", "set COMFYUI_BASE_URL to the address")],
)
def test_order_for_a_service_that_this_host_lacks_is_refused(provider: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        an_order(provider).service({}, provider)
