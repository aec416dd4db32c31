"""`python -m rain_debug.distributed HOST PORT RANK`: a worker on this machine; the secret comes on standard input."""

from __future__ import annotations

import sys

from rain_debug.distributed.worker import work

if __name__ == "__main__":
    host, port, rank = sys.argv[1:4]
    work((host, int(port)), bytes.fromhex(sys.stdin.readline().strip()), int(rank))
