"""Run a program in a terminal of a given size, and print what it wrote; as one JSON object.

usage: terminal.py STEPS COMMAND ...

STEPS is JSON: {"columns": N, "lines": N, "env": {NAME: VALUE}, "steps": [STEP, ...], "limit": SECONDS}. A
step waits for a text (["until", TEXT]), changes the size (["resize", COLUMNS, LINES]), or types (["type",
TEXT]). The result has the exit code, the output as base64 in parts (one for each text that a step waits for,
one for the rest), and whether the modes of the terminal are as before.
"""

import base64
import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

plan, command = json.loads(sys.argv[1]), sys.argv[2:]
end = time.monotonic() + plan["limit"]
terminal, inside = pty.openpty()


def resize(columns, lines):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def start():
    """Run the command in a new session, with the terminal as its controlling terminal."""
    os.setsid()
    fcntl.ioctl(inside, termios.TIOCSCTTY, 0)
    for stream in (0, 1, 2):
        os.dup2(inside, stream)
    os.closerange(3, 64)
    os.execvpe(command[0], command, os.environ | plan["env"])


def read(wanted):
    """Read until `wanted` is in the output, or to its end for None."""
    output = b""
    while time.monotonic() < end:
        if wanted is not None and wanted in output:
            return output
        ready, _, _ = select.select([terminal], [], [], 0.2)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # the program has ended
                data = b""
            if not data and wanted is None:
                return output
            if not data:
                sys.exit(f"the program ended before {wanted}: {output}")
            output += data
    os.kill(child, signal.SIGKILL)
    sys.exit(f"no {wanted} within {plan['limit']} s: {output}")


resize(plan["columns"], plan["lines"])
modes = termios.tcgetattr(inside)
child = os.fork()
if child == 0:
    start()
parts = []
for kind, *values in plan["steps"]:
    if kind == "until":
        parts.append(read(values[0].encode()))
    elif kind == "resize":
        resize(*values)
    else:
        os.write(terminal, values[0].encode())
# The other end stays open here until the program has ended, so that its modes can be read.
code = None
rest = b""
while code is None:
    if time.monotonic() > end:
        os.kill(child, signal.SIGKILL)
        sys.exit(f"the program does not end: {rest}")
    ready, _, _ = select.select([terminal], [], [], 0.05)
    rest += os.read(terminal, 65536) if ready else b""
    ended, status = os.waitpid(child, os.WNOHANG)
    code = os.waitstatus_to_exitcode(status) if ended else None
is_same = termios.tcgetattr(inside) == modes
os.close(inside)
parts.append(rest + read(None))
encoded = [base64.b64encode(part).decode() for part in parts]
print(json.dumps({"code": code, "output": encoded, "modes": is_same}))
