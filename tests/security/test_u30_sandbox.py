"""U30: code in a worker cannot fork, reach a network, read or write files, signal others, or take the machine's memory.

TorchScript can hardly make a system call; a hostile native kernel could. So Python runs in the worker's place.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path

import pytest
from instance_cast import batch, rows, run, started

from proxy.core.batches import BatchResult
from proxy.frames.launch import command, environment, scratch_directory
from proxy.testing import models

pytestmark = pytest.mark.slow
IS_X86_64 = platform.machine() == "x86_64"
on_x86_64 = pytest.mark.skipif(not IS_X86_64, reason="numbers of raw system calls are x86_64's")
# Each looks for a way out and changes nothing, so one process runs them all, each with findings of its own.
LOOKS = {
    "threads": """
import threading, torch
torch.set_num_threads(2)
results = []
thread = threading.Thread(target=lambda: results.append(1))
thread.start(); thread.join()
a = torch.ones(600, 600)
results.append(float((a @ a).sum()))
findings["results"] = results
""",
    "processes": """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
findings["fork"] = attempt(os.fork)
findings["subprocess"] = attempt(lambda: subprocess.run(["/bin/true"]))
findings["posix_spawn"] = attempt(lambda: os.posix_spawn("/bin/true", ["true"], {}))
findings["exec"] = attempt(lambda: os.execv(sys.executable, [sys.executable, "-c", "1"]))
findings["system"] = os.system("true")
findings["raw fork"] = attempt(lambda: call(57))
findings["raw clone"] = attempt(lambda: call(56, 17, 0, 0, 0, 0))
findings["clone3"] = attempt(lambda: call(435, 0, 0))
""",
    "network": """
import socket
for family in ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"):
    findings[family] = attempt(lambda: socket.socket(getattr(socket, family)))
findings["resolve"] = attempt(lambda: socket.getaddrinfo("example.org", 80))
a, b = socket.socketpair()
findings["connect"] = attempt(lambda: a.connect("/run/any.sock"))
findings["interfaces"] = attempt(socket.if_nameindex)
""",
    "files": """
import os
findings["paths"] = {path: attempt(lambda: open(path, "rb").read(1)) for path in paths}
findings["through root"] = attempt(lambda: open("/".join(("/proc/self", "root", "etc/passwd"))).read(1))
findings["listing"] = attempt(lambda: os.listdir(os.path.dirname(paths[-1])))
findings["artifact"] = attempt(lambda: open(artifact, "rb").read(1))
findings["library"] = attempt(lambda: __import__("colorsys"))
findings["environment"] = dict(os.environ)
""",
    "others": """
import ctypes, os, resource, signal
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
parent = os.getppid()
findings["kill parent"] = attempt(lambda: os.kill(parent, 0))
findings["kill group"] = attempt(lambda: os.killpg(0, signal.SIGCONT))
findings["kill all"] = attempt(lambda: os.kill(-1, 0))
findings["pidfd"] = attempt(lambda: os.pidfd_open(parent))
findings["ptrace"] = attempt(lambda: call(101, 16, parent, 0, 0))
findings["read memory"] = attempt(lambda: call(310, parent, 0, 0, 0, 0, 0))
findings["limits"] = attempt(lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE))
findings["own signal"] = attempt(lambda: os.kill(os.getpid(), 0))
findings["own limits"] = attempt(lambda: resource.prlimit(0, resource.RLIMIT_NOFILE))
findings["raise limit"] = attempt(
    lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)))
for name, number in {"mount": 165, "unshare": 272, "setns": 308, "bpf": 321, "io_uring": 425, "keyctl": 250,
                     "perf": 298, "userfaultfd": 323, "reboot": 169, "chroot": 161, "module": 313,
                     "x32": 0x40000000 + 41}.items():
    findings[name] = attempt(lambda: call(number, 0, 0, 0, 0, 0))
""",
}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return models.script(tmp_path_factory.mktemp("models"), "affine").artifact_path


def confined(artifact, code, *, memory_limit_bytes=4 * 2**30, namespaces="try"):
    scratch = scratch_directory()
    options = {"artifact": artifact, "scratch": scratch, "memory_limit_bytes": memory_limit_bytes}
    arguments = command("proxy.testing.confined", **options, namespaces=namespaces)
    done = subprocess.run(
        arguments, input=code, capture_output=True, text=True, env=environment(os.environ, 2, scratch), check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def found(artifact, tmp_path_factory):
    """What each of `LOOKS` found, with the measures that were there."""
    secret = tmp_path_factory.mktemp("secrets") / "secret.txt"
    secret.write_text("password")
    neighbour = Path(artifact).parent / "neighbour.pt"
    neighbour.write_text("another model")
    paths = ["/etc/passwd", "/etc/shadow", "/proc/1/environ", f"/proc/{os.getpid()}/environ", "/proc/1/mem"]
    paths += [str(neighbour), str(Path.cwd() / "manage.py"), str(Path.cwd() / "dlproxy_site/urls.py"), str(secret)]
    looks = {look: lines for look, lines in LOOKS.items() if IS_X86_64 or "call(" not in lines}
    code = f"""
paths = {paths!r}
for look, lines in {looks!r}.items():
    own = {{"measures": findings["measures"]}}
    exec(lines, {{**globals(), "findings": own}})
    findings[look] = own
"""
    return confined(artifact, code)


def needs(findings, *measures):
    """Skip where this machine's kernel lacks a measure; the page then says so to the operator."""
    for name in measures:
        if not findings["measures"][name].startswith("active"):
            pytest.skip(f"{name} is {findings['measures'][name]}")


@on_x86_64
def test_u30_processes_cannot_be_started(found):
    findings = found["processes"]
    needs(findings, "system calls")
    assert {findings[name] for name in ("fork", "subprocess", "posix_spawn", "exec", "raw fork", "raw clone")} == {
        "EPERM"
    }
    assert findings["system"] != 0
    assert findings["clone3"] == "ENOSYS"


def test_u30_no_network_can_be_reached(found):
    findings = found["network"]
    needs(findings, "system calls")
    families = ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET", "connect")
    assert {findings[name] for name in families} == {"EPERM"}
    assert findings["resolve"] != "allowed"
    assert findings["interfaces"] != "allowed"


def test_u30_files_outside_cannot_be_read_and_the_artifact_can(found):
    findings = found["files"]
    needs(findings, "files")
    assert set(findings["paths"].values()) <= {"EACCES", "ENOENT"}, findings["paths"]
    assert findings["through root"] == "EACCES"
    assert findings["listing"] == "EACCES"
    assert (findings["artifact"], findings["library"]) == ("allowed", "allowed")


def test_u30_nothing_outside_its_scratch_can_be_written_and_the_disk_cannot_be_filled(artifact, tmp_path):
    before = sorted(Path(scratch_directory()).iterdir())
    findings = confined(
        artifact,
        f"""
import os
def write(path, size=1):
    with open(path, "wb") as file:
        file.write(bytes(size))
def fill():
    for number in range(100):
        write(f"{{scratch}}/{{number}}", 8 << 20)
findings["tmp"] = attempt(lambda: write("/tmp/dlproxy-escaped"))
findings["test folder"] = attempt(lambda: write({str(tmp_path / "x")!r}))
findings["artifact"] = attempt(lambda: write(artifact))
findings["remove artifact"] = attempt(lambda: os.unlink(artifact))
findings["library"] = attempt(lambda: write(os.__file__))
findings["shared memory"] = attempt(lambda: write("/dev/shm/dlproxy-escaped"))
findings["scratch"] = attempt(lambda: write(f"{{scratch}}/small"))
findings["fill"] = attempt(fill)
findings["large"] = attempt(lambda: write(f"{{scratch}}/large", 65 << 20))
""",
    )
    needs(findings, "files", "scratch")
    refused = ("tmp", "test folder", "artifact", "remove artifact", "library", "shared memory")
    assert {findings[name] for name in refused} == {"EACCES"}
    assert findings["scratch"] == "allowed"
    assert findings["fill"] in {"ENOSPC", "EFBIG"}
    assert findings["large"] in {"ENOSPC", "EFBIG"}
    assert sorted(Path(scratch_directory()).iterdir()) == before
    assert Path(artifact).stat().st_size > 1


def test_u30_a_terabyte_is_refused_and_the_process_lives(artifact):
    findings = confined(
        artifact,
        """
import mmap, threading
import numpy as np
findings["bytes"] = attempt(lambda: bytearray(1 << 40))
findings["array"] = attempt(lambda: np.ones((1 << 30,)))
findings["shared"] = attempt(lambda: mmap.mmap(-1, 8 << 30))
findings["within"] = attempt(lambda: np.ones((1 << 24,)))
""",
        memory_limit_bytes=600 * 2**20,
    )
    needs(findings, "memory limit")
    assert findings["bytes"] == "MemoryError"
    assert "MemoryError" in findings["array"]
    assert findings["shared"] == "ENOMEM"
    assert findings["within"] == "allowed"


@on_x86_64
def test_u30_other_processes_cannot_be_touched(found):
    findings = found["others"]
    needs(findings, "system calls")
    allowed = {"own signal", "own limits"}
    for name, finding in findings.items():
        if name not in {"measures", "raise limit"}:
            assert finding == ("allowed" if name in allowed else "EPERM"), name
    assert findings["raise limit"] in {"EPERM", "ValueError"}


def test_u30_threads_and_torch_work_inside(found):
    findings = found["threads"]
    assert findings["results"] == [1, 600.0**3]


def test_u30_no_secret_of_the_server_is_in_the_environment():
    secrets = {"SECRET_KEY": "x", "DATABASE_URL": "x", "REDIS_URL": "x", "AWS_SECRET_ACCESS_KEY": "x", "PATH": "/bin"}
    chosen = environment(secrets, 1, "/scratch")
    assert set(chosen) & set(secrets) == {"PATH"}
    assert chosen["HOME"] == "/scratch"
    assert chosen["OMP_NUM_THREADS"] == "1"


async def test_u30_a_served_instance_reports_every_measure(tmp_path):
    version = models.script(tmp_path, "affine")
    async with started(version) as watched:
        instance = await watched.ready()
        assert set(watched.group.sandbox) == {
            *(
                "first to go when memory is short",
                "parent death",
                "no new privileges",
                "namespaces",
                "scratch",
                "memory limit",
            ),
            *("resource limits", "files", "system calls"),
            *({"capabilities"} if watched.group.sandbox["namespaces"].startswith("active") else ()),
        }
        assert all(text.startswith(("active", "inactive: ")) for text in watched.group.sandbox.values())
        status = Path(f"/proc/{instance.pid}/status").read_text()
        if watched.group.sandbox["system calls"].startswith("active"):
            assert "Seccomp:\t2" in status
        if watched.group.sandbox.get("capabilities") == "active":
            assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert isinstance(await run(instance, batch(version, rows([1, 2, 3, 4]))), BatchResult)


def test_u30_where_the_kernel_permits_no_namespaces_the_rest_still_holds(artifact):
    findings = confined(
        artifact,
        """
import os, socket
findings["fork"] = attempt(os.fork)
findings["socket"] = attempt(lambda: socket.socket(socket.AF_INET))
findings["read"] = attempt(lambda: open("/etc/passwd").read())
findings["write scratch"] = attempt(lambda: open(f"{scratch}/x", "w"))
findings["write tmp"] = attempt(lambda: open("/tmp/dlproxy-escaped", "w"))
""",
        namespaces="refuse",
    )
    assert findings["measures"]["namespaces"].startswith("inactive: ")
    assert findings["measures"]["scratch"].startswith("inactive: ")
    needs(findings, "files", "system calls")
    assert (findings["fork"], findings["socket"]) == ("EPERM", "EPERM")
    assert {findings[name] for name in ("read", "write scratch", "write tmp")} == {"EACCES"}
