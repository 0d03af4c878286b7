"""Lock a process that is about to decode what a stranger sent: setrlimit(2), unshare(2), seccomp(2).

The order matters: limits first, then privileges, then the filter, which cannot be taken off again.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from typing import Final

# What a decoder never needs: network, new processes and threads, other processes. (x86-64, aarch64) numbers; -1: none.
DENIED_CALLS: Final = {
    "socket": (41, 198),
    "connect": (42, 203),
    "socketpair": (53, 199),
    "clone": (56, 220),
    "fork": (57, -1),
    "vfork": (58, -1),
    "execve": (59, 221),
    "ptrace": (101, 117),
    "mount": (165, 40),
    "process_vm_readv": (310, 270),
    "bpf": (321, 280),
    "execveat": (322, 281),
    "io_uring_setup": (425, 425),
    "clone3": (435, 435),
}


def lock(memory_bytes: int, cpu_s: int, output_bytes: int) -> None:
    """Lock this process for good: address space, CPU seconds, size of any file written; no network, no new process.

    Call it after the imports. On other systems than Linux only the limits hold.
    """
    # Before the limits: the loader itself needs files and memory.
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    for what, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, output_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        hard = resource.getrlimit(what)[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(what, (lowest, lowest))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a full file is the error EFBIG
    if libc is not None:
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: die with the parent
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        # New user and network namespaces: no route to anywhere. Kernels may forbid it; the other walls stand.
        libc.unshare(0x10000000 | 0x40000000)
        _deny_calls(libc)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))  # no new processes or threads (root is exempt: run as a user)


def _deny_calls(libc: ctypes.CDLL) -> None:
    """Install a seccomp filter (linux/seccomp.h): the calls in DENIED_CALLS fail with EPERM from here on.

    Unknown machines and kernels without seccomp go on behind the other walls.
    """
    arch, column = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}.get(os.uname().machine, (0, 0))
    if not arch:
        return
    numbers = [call[column] for call in DENIED_CALLS.values() if call[column] >= 0]
    load, equal, at_least, back = 0x20, 0x15, 0x35, 0x06
    kill, refuse, allow = 0x8000_0000, 0x0005_0001, 0x7FFF_0000  # refuse carries EPERM
    last = len(numbers)
    program = [(load, 0, 0, 4), (equal, 1, 0, arch), (back, 0, 0, kill), (load, 0, 0, 0)]
    program.append((at_least, last + 1, 0, 0x4000_0000))  # the x32 numbering would walk around the list
    program += [(equal, last - k, 0, number) for k, number in enumerate(numbers)]
    program += [(back, 0, 0, allow), (back, 0, 0, refuse)]
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    kept = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(program), ctypes.addressof(kept))  # struct sock_fprog
    libc.prctl(22, 2, ctypes.c_char_p(header), 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
