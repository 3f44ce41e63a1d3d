"""Reading the IDX format, in which MNIST and similar data sets are published."""

import struct
from pathlib import Path

import numpy as np

from overfitting.common.errors import UserError

UNSIGNED_BYTE = 0x08
MAX_IDX_BYTES = 64 * 2**20  # bytes; the largest file of Fashion-MNIST has 47,040,016


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an uncompressed IDX file of unsigned bytes.

    The format (http://yann.lecun.com/exdb/mnist/): two zero bytes, a byte for the type of the
    values, a byte for the number of dimensions, the size of each dimension as a big-endian 32-bit
    unsigned integer, and the values.

    Args:
        path: the file.
        dimensions: expected number of dimensions: 1 for labels, 3 for images.

    Returns:
        A uint8 array of the shape given in the file's header.

    Raises:
        UserError: the file is too large, has another format or number of dimensions, or its
            size does not match its header.
    """
    size = path.stat().st_size
    if size > MAX_IDX_BYTES:
        raise UserError(f"{path} has {size} bytes; at most {MAX_IDX_BYTES} are allowed")
    content = path.read_bytes()
    header_size = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]) or size < header_size:
        raise UserError(
            f"{path}: not an IDX file of unsigned bytes with {dimensions} dimension(s); it "
            f"begins with {content[:4].hex() or 'nothing'}; remove it and run again"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:header_size])
    if size != header_size + np.prod(shape, dtype=object):
        raise UserError(
            f"{path}: its header gives the shape {shape}, but its size is {size} bytes; "
            "remove it and run again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header_size).reshape(shape)
