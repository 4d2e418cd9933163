"""Arrow text columns as plain numpy buffers, so that compiled kernels read them without a Python object per row."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


class Text(NamedTuple):
    """One text or binary column: row `i` is `data[offsets[i]:offsets[i + 1]]`, and absent where `valid[i]` is false.

    data: uint8. offsets: int64, one longer than the column. valid: bool.
    """

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]

    def bytes_at(self, row: int) -> bytes:
        """The bytes of one row."""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes()


def text_buffers(column: pa.Array | pa.ChunkedArray) -> Text:
    """The buffers of a string, large_string, string_view, binary, dictionary or null column; slices are respected.

    Raises TypeError for a column that is not text.

    >>> text = text_buffers(pa.array(["ab", None, "c"]))
    >>> text.bytes_at(2), text.valid.tolist()
    (b'c', [True, False, True])
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_null(array.type):
        array = array.cast(pa.large_binary())
    if pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type):
        width: type[np.int32] | type[np.int64] = np.int64
    elif pa.types.is_string(array.type) or pa.types.is_binary(array.type):
        width = np.int32
    elif str(array.type) in ("string_view", "binary_view"):
        array, width = array.cast(pa.large_binary()), np.int64
    else:
        raise TypeError(f"a text column is needed, not {array.type}")
    valid = pc.is_valid(array).to_numpy(zero_copy_only=False)
    _, offsets_buffer, data_buffer = array.buffers()
    if len(array) == 0 or offsets_buffer is None:
        return Text(_frozen(np.zeros(0, np.uint8)), np.zeros(len(array) + 1, np.int64), valid)
    offsets = np.frombuffer(offsets_buffer, dtype=width)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
    return Text(_frozen(data), np.ascontiguousarray(offsets, dtype=np.int64), valid)


def _frozen(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    # Always read-only, like Arrow buffers: one type, so each kernel is compiled once.
    view = data.view()
    view.flags.writeable = False
    return view
