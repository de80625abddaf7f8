"""GPUs as NVML tells of them, and the words for why there are none."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from proxy.core.reports import GpuReport
from proxy.metrics.gpu import GpuProbe, torch_name
from proxy.metrics.machine import MachineProbe


@pytest.fixture(autouse=True)
def all_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


class FakeError(Exception):
    def __init__(self, value):
        super().__init__(f"code {value}")
        self.value = value


class FakeNvml:
    """NVML with one GPU; `silent` queries are not supported, `broken` is the code of initialising or counting."""

    NVMLError = FakeError
    NVML_ERROR_LIBRARY_NOT_FOUND = 12
    NVML_ERROR_DRIVER_NOT_LOADED = 9
    NVML_ERROR_NO_PERMISSION = 4
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *, init=None, count=1, lost=None, silent=False, lost_index=None):
        self.init, self.count, self.lost, self.silent = init, count, lost, silent
        self.lost_index = lost_index

    def nvmlInit(self):
        if self.init:
            raise FakeError(self.init)

    def nvmlDeviceGetCount(self):
        if self.lost:
            raise FakeError(self.lost)
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index):
        if index == self.lost_index:
            raise FakeError(15)
        return index

    def _say(self, value):
        if self.silent:
            raise FakeError(3)
        return value

    def nvmlDeviceGetName(self, handle):
        return self._say(b"NVIDIA H100")

    def nvmlDeviceGetUUID(self, handle):
        return self._say("GPU-1234")

    def nvmlDeviceGetUtilizationRates(self, handle):
        return self._say(SimpleNamespace(gpu=37))

    def nvmlDeviceGetMemoryInfo(self, handle):
        return self._say(SimpleNamespace(used=5, total=80))

    def nvmlDeviceGetPowerUsage(self, handle):
        return self._say(123_456)

    def nvmlDeviceGetTemperature(self, handle, kind):
        return self._say(41)


def test_a_gpu_is_reported_in_our_units():
    gpu = GpuReport(0, "NVIDIA H100", 37, 5, 80, 41, 123.456, "GPU-1234", "cuda:0")
    assert GpuProbe(FakeNvml()).read() == ((gpu,), "")


def test_what_a_gpu_does_not_say_is_none():
    gpus, _ = GpuProbe(FakeNvml(silent=True)).read()
    assert gpus == (GpuReport(0, "GPU", None, None, None, None, None, device="cuda:0"),)


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["cuda:0", "cuda:1"]),
        ("1", ["", "cuda:0"]),
        ("1,0", ["cuda:1", "cuda:0"]),
        (" 1 , 0 ", ["cuda:1", "cuda:0"]),
        ("GPU-bb", ["", "cuda:0"]),
        ("GPU-bbbb,GPU-aaaa", ["cuda:1", "cuda:0"]),
        ("MIG-1234", ["", ""]),
        ("0,-1,1", ["cuda:0", ""]),
        ("0,nonsense,1", ["cuda:0", ""]),
        ("-1", ["", ""]),
        ("", ["", ""]),
    ],
)
def test_a_gpu_has_the_name_that_instances_give_it(visible, names):
    assert [torch_name(index, uuid, visible) for index, uuid in enumerate(("GPU-aaaa", "GPU-bbbb"))] == names


def test_a_gpu_without_a_uuid_is_found_by_its_number_only():
    assert [torch_name(0, "", visible) for visible in ("GPU-aa", "0", None)] == ["", "cuda:0", "cuda:0"]


def test_the_environment_of_the_instances_says_which_gpus_they_can_use(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    gpus, _ = GpuProbe(FakeNvml(count=3, lost_index=2)).read()
    assert [gpu.device for gpu in gpus] == ["cuda:1", "", "cuda:0"]


def test_a_gpu_that_fell_off_the_bus_does_not_hide_the_others():
    gpus, note = GpuProbe(FakeNvml(count=3, lost_index=1)).read()
    assert [(gpu.index, gpu.memory_total_bytes) for gpu in gpus] == [(0, 80), (1, None), (2, 80)]
    assert note == ""


@pytest.mark.parametrize(
    ("nvml", "words"),
    [
        (FakeNvml(init=12), "NVML shared library not found: there is no NVIDIA driver on this host."),
        (FakeNvml(init=9), "The NVIDIA driver is installed but not loaded."),
        (FakeNvml(init=4), "This user may not read the NVIDIA driver."),
        (FakeNvml(init=99), "NVML cannot read the GPUs: code 99."),
        (FakeNvml(count=0), "The NVIDIA driver reports no GPU on this host."),
        (FakeNvml(lost=15), "NVML cannot read the GPUs: code 15."),
    ],
)
def test_without_a_gpu_the_note_says_why(nvml, words):
    assert GpuProbe(nvml).read() == ((), words)


def test_without_the_package_the_note_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    gpus, note = GpuProbe().read()
    assert gpus == ()
    assert "nvidia-ml-py" in note


def test_the_real_probe_reports_gpus_or_says_why_not():
    gpus, note = GpuProbe().read()
    assert bool(gpus) != bool(note)


def test_the_machine_has_cores_and_memory():
    report = MachineProbe(GpuProbe(FakeNvml())).read()
    assert len(report.per_core_percent) >= 1
    assert 0 <= report.cpu_percent <= 100
    assert 0 < report.memory_used_bytes < report.memory_total_bytes
    assert report.gpus[0].name == "NVIDIA H100"
