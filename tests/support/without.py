"""Runs a command as an older kernel would: without Landlock and user namespaces, without pidfds, or without fallocate."""

import ctypes
import os
import platform
import struct
import sys

LANDLOCK_CREATE_RULESET, PIDFD_OPEN = 444, 434
UNSHARE, CLONE3, FALLOCATE = {"x86_64": (272, 435, 285), "aarch64": (97, 435, 47)}[platform.machine()]
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE, ENOSYS = 0x7FFF0000, 0x00050000, 38

refused = {
    "landlock": [LANDLOCK_CREATE_RULESET, UNSHARE, CLONE3],
    "pidfd": [PIDFD_OPEN],
    "fallocate": [FALLOCATE],
}[sys.argv[1]]
steps = [(LOAD_WORD, 0, 0, 0)]
for place, call in enumerate(refused):
    steps.append((JUMP_IF_EQUAL, len(refused) - place, 0, call))
steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE | ENOSYS)]
program = b"".join(struct.pack("HBBI", *step) for step in steps)
code = ctypes.create_string_buffer(program, len(program))
libc = ctypes.CDLL(None, use_errno=True)
header = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0):
    sys.exit(f"the filter was refused: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[2], sys.argv[2:])
