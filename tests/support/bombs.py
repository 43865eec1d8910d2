"""Small bodies that unpack to large ones."""

from __future__ import annotations

import struct
import zlib
from typing import Final

_MEGABYTE: Final = b" " * 1_000_000
_HEADER: Final = b"\x1f\x8b\x08" + bytes(6) + b"\xff"


def packed_blanks(megabytes: int) -> bytes:
    """So many megabytes of blanks as one member of gzip. One is packed and repeated: neither memory nor seconds go."""
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = packer.compress(_MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)  # after which the next packs to the same
    end, check = packer.flush(), 0
    for _ in range(megabytes):
        check = zlib.crc32(_MEGABYTE, check)
    return _HEADER + packed * megabytes + end + struct.pack("<II", check, megabytes * len(_MEGABYTE))
