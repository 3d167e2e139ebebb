"""Counter-based random numbers that TypeScript and Python make alike.

Threefry-2x32 with 20 rounds: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).
All integers are unsigned 32-bit and wrap. A stream belongs to a seed and a name:

    key     = threefry2x32(key=(seed, 0), counter=(fnv1a32(utf8(name)), 0))
    word[i] = threefry2x32(key, counter=(i >> 1, 0))[i & 1]        0 <= i < 2^32
    u[i]    = (word[i] >> 8) * 2^-24                                in [0, 1), exact in float32
    v[i]    = 2 * u[i] - 1                                          in [-1, 1), exact in float32
"""

import numpy as np

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA
_MASK = 0xFFFFFFFF
_BLOCK = 1 << 15  # counters in one pass: the working arrays stay in the cache


def fnv1a32(data: bytes) -> int:
    """32-bit FNV-1a of some bytes."""
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & _MASK
    return value


def threefry2x32(key: tuple[int, int], counter0: np.ndarray, counter1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encrypts arrays of counters under one key. Takes uint32 arrays and returns two new ones of their shape."""
    words = [key[0] & _MASK, key[1] & _MASK]
    words.append(words[0] ^ words[1] ^ _PARITY)
    x0 = counter0.astype(np.uint32) + np.uint32(words[0])
    x1 = counter1.astype(np.uint32) + np.uint32(words[1])
    shifted = np.empty_like(x1)
    for group in range(5):
        for rotation in _ROTATIONS[4 * (group % 2) : 4 * (group % 2) + 4]:
            x0 += x1
            np.left_shift(x1, np.uint32(rotation), out=shifted)
            np.right_shift(x1, np.uint32(32 - rotation), out=x1)
            x1 |= shifted
            x1 ^= x0
        x0 += np.uint32(words[(group + 1) % 3])
        x1 += np.uint32((words[(group + 2) % 3] + group + 1) & _MASK)
    return x0, x1


class RandomStream:
    """The stream of one seed and one name. Every method starts at word 0 and depends on nothing before it."""

    def __init__(self, seed: int, name: str) -> None:
        counter = np.array([fnv1a32(name.encode("utf-8"))], np.uint32)
        key0, key1 = threefry2x32((seed, 0), counter, np.zeros(1, np.uint32))
        self.key: tuple[int, int] = (int(key0[0]), int(key1[0]))

    def words(self, count: int) -> np.ndarray:
        """The first `count` words, uint32."""
        pairs = np.empty(((count + 1) // 2, 2), np.uint32)
        for start in range(0, len(pairs), _BLOCK):
            counter = np.arange(start, min(start + _BLOCK, len(pairs)), dtype=np.uint32)
            first, second = threefry2x32(self.key, counter, np.zeros_like(counter))
            pairs[start : start + len(counter), 0] = first
            pairs[start : start + len(counter), 1] = second
        return pairs.reshape(-1)[:count]

    def symmetric(self, shape: tuple[int, ...]) -> np.ndarray:
        """float32 in [-1, 1), filled in row-major order."""
        values = (self.words(int(np.prod(shape))) >> np.uint32(8)).astype(np.float32)
        values *= np.float32(2**-23)
        values -= np.float32(1)
        return values.reshape(shape)

    def integers(self, shape: tuple[int, ...], below: int) -> np.ndarray:
        """int64 in [0, below): word % below."""
        return (self.words(int(np.prod(shape))) % np.uint32(below)).astype(np.int64).reshape(shape)
