"""Client addresses as keyed hashes: the address itself, and the block from which it was assigned."""

import ipaddress

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clonewatch.kernels.buffers import text_buffers
from clonewatch.kernels.compiling import compiled
from clonewatch.kernels.hashing import keyed_hash

U64 = npt.NDArray[np.uint64]

# The usual block sizes of one customer, office or rented machine.
IPV4_BLOCK = 24
IPV6_BLOCK = 48
_NO_PLAIN = -1


def prefixes(ips: pa.Array | pa.ChunkedArray, key: bytes) -> tuple[U64, U64]:
    """Keyed hashes of every address and of its /24 (IPv4) or /48 (IPv6) block.

    ips: text column of N addresses or opaque strings. key: 16 bytes. Returns (address_hash, prefix_hash), uint64[N].
    A null, and an address that identifies no host (loopback, link-local, unspecified or multicast), gives 0 for both.
    Private and carrier addresses are kept: behind an internal gateway they are the clients, and if they belong to one
    load balancer, trusted accounts use it too, so that it has no weight. An opaque string, such as an
    address that was hashed before logging, has an address hash and prefix 0. IPv4 written as IPv6
    (`::ffff:1.2.3.4`) counts as IPv4. Each distinct value is parsed once, plain IPv4 in compiled code.

    >>> address, prefix = prefixes(pa.array(["8.8.8.8", "8.8.8.9", "127.0.0.1", "a81c"]), bytes(16))
    >>> bool(prefix[0] == prefix[1]), bool(address[0] != address[1]), int(address[2]), int(prefix[3])
    (True, True, 0, 0)
    """
    array = ips.combine_chunks() if isinstance(ips, pa.ChunkedArray) else ips
    if pa.types.is_null(array.type):
        array = array.cast(pa.string())
    codes = array if pa.types.is_dictionary(array.type) else pc.dictionary_encode(array)
    addresses, blocks = _distinct(codes.dictionary, key)
    rows = codes.indices.fill_null(len(addresses)).to_numpy(zero_copy_only=False)
    return np.append(addresses, np.uint64(0))[rows], np.append(blocks, np.uint64(0))[rows]


def _distinct(values: pa.Array, key: bytes) -> tuple[U64, U64]:
    """Both hashes of each value."""
    addresses, blocks = np.zeros(len(values), np.uint64), np.zeros(len(values), np.uint64)
    text = text_buffers(values)
    plain = _plain_ipv4(text.data, text.offsets)
    is_plain = (plain != _NO_PLAIN) & (plain >> 8 != 0)  # 0.0.0.x mixes the unspecified address with others
    numbers, place = np.unique(plain[is_plain] >> 8, return_inverse=True)
    named = keyed_hash(pa.array([_block(n) for n in numbers.tolist()], pa.string()), key)[place]
    blocks[is_plain] = named
    # A plain address is its own canonical form; 0 if its block identifies nobody.
    addresses[is_plain] = np.where(named != 0, keyed_hash(values.filter(pa.array(is_plain)), key), np.uint64(0))
    others = np.flatnonzero(~is_plain)
    if len(others):
        spelt = [_canonical(value) for value in values.take(pa.array(others)).to_pylist()]
        addresses[others] = keyed_hash(pa.array([address for address, _ in spelt], pa.string()), key)
        blocks[others] = keyed_hash(pa.array([block for _, block in spelt], pa.string()), key)
    return addresses, blocks


def _block(number: int) -> str | None:
    """The /24 with these 24 bits, or None if its addresses identify nobody, as in `_canonical`."""
    first, second, third = number >> 16, number >> 8 & 255, number & 255
    # Loopback, multicast and link-local: complete blocks in the registry of special addresses (RFC 6890).
    if first == 127 or 224 <= first < 240 or (first, second) == (169, 254):
        return None
    return f"{first}.{second}.{third}.0/{IPV4_BLOCK}"


@compiled()
def _plain_ipv4(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The 32 bits of each value that is an IPv4 address in canonical form, -1 for all others."""
    out = np.full(len(offsets) - 1, _NO_PLAIN, np.int64)
    for row in range(len(out)):
        number, part, digits, dots = 0, 0, 0, 0
        sound = True
        for i in range(offsets[row], offsets[row + 1]):
            c = np.int64(data[i])
            if 48 <= c <= 57 and digits < 3 and not (digits > 0 and part == 0):
                part = part * 10 + int(c) - 48
                digits += 1
            elif c == 46 and digits > 0 and part < 256 and dots < 3:
                number = number << 8 | part
                part, digits = 0, 0
                dots += 1
            else:
                sound = False
                break
        if sound and dots == 3 and digits > 0 and part < 256:
            out[row] = number << 8 | part
    return out


def _canonical(value: str | None) -> tuple[str | None, str | None]:
    """The canonical form of the address and of its block; None if it identifies nobody."""
    text = (value or "").strip()
    if not text:
        return None, None
    try:
        address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return text, None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        return None, None
    block = ipaddress.ip_network((address, IPV4_BLOCK if address.version == 4 else IPV6_BLOCK), strict=False)
    return str(address), str(block)
