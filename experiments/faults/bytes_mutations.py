"""Damage to a file that knows nothing of what it means."""

import random


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """One to sixteen bits are others."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 16)) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(data: bytes, rng: random.Random) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data) + 1)]


def cut_out(data: bytes, rng: random.Random) -> bytes:
    """A part in the middle is missing."""
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def repeat(data: bytes, rng: random.Random) -> bytes:
    """A part of at most 1,000 bytes stands there up to 1,000 times."""
    start, end = _span(data, rng, most=1_000)
    return data[:start] + data[start:end] * rng.choice((2, 10, 1_000)) + data[end:]


def move(data: bytes, rng: random.Random) -> bytes:
    """A part stands elsewhere."""
    start, end = _span(data, rng)
    rest = data[:start] + data[end:]
    place = rng.randrange(len(rest) + 1)
    return rest[:place] + data[start:end] + rest[place:]


def overwrite(data: bytes, rng: random.Random) -> bytes:
    """A part of at most 64 bytes is random, zero, all ones, or what programs trip over."""
    start, end = _span(data, rng, most=64)
    length = end - start
    other = rng.choice((rng.randbytes(length), bytes(length), b"\xff" * length, *TRAPS))
    return data[:start] + other + data[end:]


TRAPS = (
    b"\x00",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\x1b[2J",
    b"\r\n\r\n",
    "\u2028".encode(),
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5_000,
    b"[" * 2_000,
    b'{"a":' * 2_000,
    b"(" * 300,
    b"-" * 5_000,
    b"${oc.env:HOME}",
    b"__import__('os').abort()",
    b"!!python/object/apply:os.abort []",
    b"&a [*a, *a]",
    b"../../../../etc/passwd",
)
"""What means something to one of the readers."""

MUTATIONS = (flip_bits, truncate, cut_out, repeat, move, overwrite)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to three of these, one after the other."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(MUTATIONS)(data, rng)
    return data


def splice(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """The beginning of one file and the end of another."""
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _span(data: bytes, rng: random.Random, most: int | None = None) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.randrange((most or len(data)) + 1))
