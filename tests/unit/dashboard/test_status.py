"""One word for how a model stands."""

from __future__ import annotations

from models_admin.dashboard.status import EMPTY, UNKNOWN, UNLOADED, WANTED, is_moving, load_status, model_status
from models_admin.models import Model, ModelVersion
from models_admin.models.registry import VersionState
from proxy.core.reports import MachineReport, ModelSecond, SecondReport, VersionReport


def report(*versions: VersionReport) -> SecondReport:
    return SecondReport(1, 1_000, 1, ModelSecond(), {}, versions, (), MachineReport(1.0, (1.0,), 1, 2))


def served() -> Model:
    return Model(name="digits", default_version=ModelVersion(pk=1, number=1))


def test_a_model_without_version_is_empty() -> None:
    assert model_status(Model(name="digits"), report()) is EMPTY


def test_an_unloaded_model_says_so_even_without_data_plane() -> None:
    model = served()
    model.loaded = False
    assert model_status(model, None) is UNLOADED


def test_without_a_data_plane_nothing_is_claimed() -> None:
    assert model_status(served(), None) is UNKNOWN


def test_a_version_that_the_data_plane_does_not_know_yet_waits() -> None:
    assert model_status(served(), report()) is WANTED


def test_the_data_planes_word_and_reason_are_shown() -> None:
    status = model_status(served(), report(VersionReport("digits", 1, "failed", True, 0, 1, 0, "digest differs")))
    assert (status.state, status.label, status.words) == ("failed", "Failed", "digest differs")


def test_a_wanted_version_that_is_not_there_yet_is_on_its_way_and_an_unwanted_one_is_not() -> None:
    model = Model(name="digits", default_version_id=1)
    default = ModelVersion(pk=1, number=1, model=model, state=VersionState.READY)
    other = ModelVersion(pk=2, number=2, model=model, state=VersionState.READY)
    assert load_status(default, report()) is WANTED
    assert is_moving(load_status(default, report()))
    assert load_status(other, report()) is None
    assert not is_moving(load_status(other, report()))
    model.loaded = False
    assert load_status(default, report()) is None
