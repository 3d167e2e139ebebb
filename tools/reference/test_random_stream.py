import unittest

import numpy as np

from random_stream import RandomStream, fnv1a32, threefry2x32


class Threefry(unittest.TestCase):
    def test_known_answers(self) -> None:
        # Random123, tests/kat_vectors, "threefry2x32 20": counter, key, result.
        vectors = [
            ((0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
            ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
            ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
        ]
        for counter, key, expected in vectors:
            got = threefry2x32(key, np.array([counter[0]], np.uint32), np.array([counter[1]], np.uint32))
            self.assertEqual(tuple(int(word[0]) for word in got), expected)


class Fnv1a(unittest.TestCase):
    def test_known_answers(self) -> None:
        # draft-eastlake-fnv, appendix C: 32-bit FNV-1a.
        self.assertEqual(fnv1a32(b""), 0x811C9DC5)
        self.assertEqual(fnv1a32(b"a"), 0xE40C292C)
        self.assertEqual(fnv1a32(b"foobar"), 0xBF9CF968)


class Stream(unittest.TestCase):
    def test_words_are_the_encrypted_counters(self) -> None:
        stream = RandomStream(7, "transformer.wte.weight")
        words = stream.words(70_001)
        for index in (0, 1, 2, 65_535, 65_536, 70_000):
            pair = threefry2x32(stream.key, np.array([index >> 1], np.uint32), np.zeros(1, np.uint32))
            self.assertEqual(int(words[index]), int(pair[index & 1][0]))

    def test_a_longer_stream_begins_with_the_shorter_one(self) -> None:
        stream = RandomStream(7, "x")
        self.assertTrue(np.array_equal(stream.words(1000)[:333], stream.words(333)))

    def test_symmetric_values_are_exact(self) -> None:
        stream = RandomStream(1, "x")
        exact = [2 * (int(word) >> 8) * 2.0**-24 - 1 for word in stream.words(1000)]
        self.assertEqual([float(value) for value in stream.symmetric((1000,))], exact)
        self.assertTrue(-1 <= min(exact) < -0.99 and 0.99 < max(exact) < 1)

    def test_seed_and_name_change_the_stream(self) -> None:
        streams = [RandomStream(seed, name).words(4).tolist() for seed in (0, 1) for name in ("a", "b")]
        self.assertEqual(len({tuple(words) for words in streams}), 4)


if __name__ == "__main__":
    unittest.main()
