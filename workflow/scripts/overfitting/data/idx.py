"""Reading the IDX format, in which MNIST and its relatives are published."""

import struct
from pathlib import Path

import numpy as np

from overfitting.common.errors import UserError

UNSIGNED_BYTE = 0x08
MAX_IDX_BYTES = 64 * 2**20  # bytes; the largest file of Fashion-MNIST has 47,040,016


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an unzipped IDX file of unsigned bytes.

    The format (http://yann.lecun.com/exdb/mnist/): two zero bytes, the type of the values,
    the number of dimensions, each dimension as a big-endian 32-bit number, the values.

    Args:
        path: the file.
        dimensions: how many dimensions it must have: 1 for labels, 3 for images.

    Returns:
        A uint8 array with the shape that the file's header names.

    Raises:
        UserError: the file is too large, of another format or shape, or cut off.
    """
    size = path.stat().st_size
    if size > MAX_IDX_BYTES:
        raise UserError(f"{path}: {size} bytes are more than the {MAX_IDX_BYTES} that are read")
    content = path.read_bytes()
    header = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]) or size < header:
        raise UserError(
            f"{path}: not an IDX file of bytes in {dimensions} dimension(s); it begins with "
            f"{content[:4].hex() or 'nothing'}; remove it and run again"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if size != header + np.prod(shape, dtype=object):
        raise UserError(
            f"{path}: its header promises the shape {shape}, its size is {size} bytes; "
            "remove it and run again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
