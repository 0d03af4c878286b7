"""How clean speech sounds, by DNSMOS (P.835, overall); a program by itself, run by whichever Python has speechmos.

    PYTHON dnsmos.py FOLDER     reads FOLDER/list.json [{"file"}], prints JSON [overall score of 1 to 5]

Imports nothing of muybridge. The score is Microsoft's net's guess at what listeners would say, for 16 kHz.
"""

from __future__ import annotations

import json
import sys
import wave
from math import gcd
from pathlib import Path

import numpy as np

PACKAGES = ("speechmos", "scipy")
RATE = 16_000


def main(folder: Path) -> None:
    """Score what the list names."""
    from scipy.signal import resample_poly
    from speechmos import dnsmos  # type: ignore[import-not-found, unused-ignore]  # only in the evaluators' Python

    scores = []
    for item in json.loads((folder / "list.json").read_text()):
        with wave.open(str(folder / item["file"])) as stored:
            rate = stored.getframerate()
            samples_S = np.frombuffer(stored.readframes(stored.getnframes()), "<i2") / 32768.0
        shared = gcd(RATE, rate)
        heard_S = np.clip(resample_poly(samples_S, RATE // shared, rate // shared), -1.0, 1.0)
        scores.append(float(dnsmos.run(heard_S.astype(np.float32), sr=RATE)["ovrl_mos"]))
    sys.stdout.write(json.dumps(scores))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
