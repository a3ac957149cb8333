import numpy as np

from closerlook.geometry.intervals import *


def shared_minimum_groups(*Ds):
    n = len(Ds[0])
    g = np.arange(n)
    for D in Ds:
        D = np.where(np.isfinite(D), D, np.inf).copy()
        np.fill_diagonal(D, np.inf)
        k = D.argmin(1)
        for i, j in enumerate(k):
            if k[j] == i and np.isfinite(D[i, j]):
                g[g == g[j]] = g[i]
    return g
