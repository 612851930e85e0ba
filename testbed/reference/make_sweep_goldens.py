"""Makes testbed/internal/report/testdata/sweep_means.json: trials of one setting, and what a sweep should say about them.

Exact rational arithmetic over the decimal digits; standard library only. Usage, at the repository's root:

    python3 testbed/reference/make_sweep_goldens.py > testbed/internal/report/testdata/sweep_means.json
"""

import json
import random
from fractions import Fraction

random.seed(20250124)


def mean(x):
    return sum(x) / len(x)


def deviation(x):
    """Square root of the sample variance, in 60 digits of integer arithmetic."""
    m = mean(x)
    variance = sum((v - m) ** 2 for v in x) / (len(x) - 1)
    scale = 10**60
    n = variance.numerator * scale * scale // variance.denominator
    root = n
    while True:  # Newton's method on integers
        better = (root + n // root) // 2 if root else 0
        if better >= root:
            return Fraction(root, scale)
        root = better


def harmonic(a, b):
    return 2 * a * b / (a + b) if a and b else Fraction(0)


def summary(x):
    return {"mean": float(mean(x)), "std": float(deviation(x)) if len(x) > 1 else None, "seeds": len(x)}


cases = []
for name, seeds, versions in [("three seeds", 3, 10), ("five seeds, more than ten versions", 5, 14), ("fewer versions", 2, 4), ("one seed", 1, 10)]:
    trials, local, neighbour, balance, gain = [], [], [], [], []
    for seed in range(1, seeds + 1):
        l = [Fraction(random.randrange(6000, 10001), 10000) for _ in range(versions)]
        n = [Fraction(random.randrange(0, 9000), 10000) for _ in range(versions)]
        zl, zn = Fraction(random.randrange(5000, 9000), 10000), Fraction(random.randrange(5000, 9000), 10000)
        trials.append({"seed": seed, "local": [float(v) for v in l], "neighbour": [float(v) for v in n],
                       "zero_shot_local": float(zl), "zero_shot_neighbour": float(zn)})
        a, b = mean(l[-10:]), mean(n[-10:])
        local.append(a)
        neighbour.append(b)
        balance.append(harmonic(a, b))
        gain.append(harmonic(a, b) - harmonic(zl, zn))
    cases.append({"name": name, "trials": trials, "local": summary(local), "neighbour": summary(neighbour),
                  "harmonic_mean": summary(balance), "gain": summary(gain)})
print(json.dumps(cases, indent=1))
