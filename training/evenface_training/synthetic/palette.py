"""Colours, float32 in [0, 1]."""

import numpy as np

from evenface_training.synthetic.arrays import Float32


def _colors(codes: str) -> Float32:
    """Turn K codes such as "f6ede4 f3e7db" into float32 [K, 3]."""
    return np.array([list(bytes.fromhex(code)) for code in codes.split()], np.float32) / 255


# The Monk Skin Tone scale, tones 1 to 10, by Ellis Monk: https://skintone.google/get-started
SKIN = _colors("f6ede4 f3e7db f7ead0 eadaba d7bd96 a07e56 825c43 604134 3a312a 292420")

# In the order of the shares of `hair_color` in config: black, brown, blond, red, grey.
HAIR = _colors("17130f 4d3220 c9a15c 8f3d1c b3b0ac")
LIP = _colors("c0504d b5574f a84a55 c86a64 9c3b46")
IRIS = _colors("4a2f1b 3a2414 5f4426 47688a 6b8f71 7a8288")
CLOTH = _colors(
    "20242e 2f3e5c 6f1d24 27503c d8d6cf b98a2c 7a7f87 8fb3cc c96f63 4b3160 efe9dc 35302b"
)
HAT = _colors("1d1f26 7d2027 2d4a75 c2a878 3d5a3f d9d9d4 b5642c 5b3a63")
RIM = _colors("151515 3d2a1c 6e6e72 a8884a 7c1f26")
BACKDROP = _colors(
    "e6e2da b9c4cc 7f8c99 5a6b5d 8c7560 3c4048 cfb997 a3b18a 6d8fb3 d9a6a0 f1eee8 8a5a44 "
    "2b3a42 c7c2b8"
)
FUR = _colors("8a5a2f c89b62 3b2a20 d9cbb5 6e6a66 22201f b5763c efe6da")
MASK = _colors("f2efe6 c9a227 b3202a 1f4e8c 2e7d4f d98cb3 25211f d7bd96")
CLUTTER = np.concatenate([BACKDROP, CLOTH, SKIN])
WHITE = np.ones((1, 3, 1, 1), np.float32)
