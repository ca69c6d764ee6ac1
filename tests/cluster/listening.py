"""Where processes can be reached."""

from __future__ import annotations

import os
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_LISTENING = "0A"


def addresses(pids: Iterable[int]) -> set[str]:
    """The addresses that these processes take connections on."""
    inodes = {link for pid in pids for link in _links(Path(f"/proc/{pid}/fd"))}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and f"socket:[{fields[9]}]" in inodes:
                found.add(str(_address(fields[1].partition(":")[0])))
    return found


def _links(folder: Path) -> list[str]:
    try:
        return [os.readlink(file) for file in folder.iterdir()]
    except OSError:  # ended meanwhile
        return []


def _address(digits: str) -> IPv4Address | IPv6Address:
    """The address as Linux writes it: words of four bytes, each in this machine's order."""
    words = [bytes.fromhex(digits[n : n + 8])[::-1] for n in range(0, len(digits), 8)]
    address = ip_address(b"".join(words))
    return getattr(address, "ipv4_mapped", None) or address
