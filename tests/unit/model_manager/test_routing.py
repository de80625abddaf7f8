"""Which version answers, and what a client is told when none does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.core.errors import NotFound, NotReady
from proxy.core.snapshot import ModelSnapshot, VersionSnapshot
from proxy.core.tensors import Signature
from proxy.model_manager.routing import RoutingTable, choose_version


def version(number: int) -> VersionSnapshot:
    return VersionSnapshot("digits", number, "d", "/artifact", "torchscript", Signature((), ()))


MODELS = {
    "digits": ModelSnapshot("digits", {1: version(1), 2: version(2)}, 1, 1),
    "off": ModelSnapshot("off", {}, 1, 1),
}
ROUTES = RoutingTable({"digits": {1: version(1)}}, {"digits": 1})


def test_no_version_named_means_the_default() -> None:
    assert choose_version(ROUTES, MODELS, "digits", None).number == 1


def test_a_named_version_answers_itself() -> None:
    assert choose_version(ROUTES, MODELS, "digits", "1").number == 1


@pytest.mark.parametrize("name", ["Digits", "digits ", "digits.", "../digits", "ｄigits", "", "x" * 4_096])
def test_r29_only_the_exact_name_is_a_model(name: str) -> None:
    with pytest.raises(NotFound) as caught:
        choose_version(ROUTES, MODELS, name, None)
    assert len(caught.value.message) < 120


@pytest.mark.parametrize("number", ["0", "3", "-1", "1.0", "01", "１", "latest", "9" * 400, ""])
def test_r29_only_a_plain_number_is_a_version(number: str) -> None:
    with pytest.raises(NotFound):
        choose_version(ROUTES, MODELS, "digits", number)


def test_a_version_that_is_still_loading_says_when_to_come_back() -> None:
    with pytest.raises(NotReady) as caught:
        choose_version(ROUTES, MODELS, "digits", "2")
    assert caught.value.retry_after_ns


def test_a_model_that_is_switched_off_says_so() -> None:
    with pytest.raises(NotReady, match="not loaded"):
        choose_version(ROUTES, MODELS, "off", None)


def test_a_model_without_an_answering_version_is_not_said_to_be_on_its_way() -> None:
    """Its instances may have been given up: a client must not wait for it on our word."""
    with pytest.raises(NotReady, match="instances do not start"):
        choose_version(RoutingTable({}, {}), MODELS, "digits", None)


def test_messages_carry_no_control_characters() -> None:
    with pytest.raises(NotFound) as caught:
        choose_version(ROUTES, MODELS, "a\x00\nb", None)
    assert caught.value.message.isprintable()


def test_another_artifact_under_the_same_number_is_another_version():
    assert ROUTES.answers(version(1))
    assert not ROUTES.answers(replace(version(1), digest="of a model that was deleted"))
    assert not ROUTES.answers(version(2))
