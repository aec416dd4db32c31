"""Data to try things on: the demo's shop, generated here, and loaders of public sets.

A loader looks in the folder that the environment variable RAIN_DATA names, then in the user's cache, and downloads
last, from the canonical address and its mirrors, with a checksum.
"""

from __future__ import annotations

from rain_debug.datasets.adult import Adult, adult
from rain_debug.datasets.corrupt import Corrupted
from rain_debug.datasets.mnist import Mnist, mnist
from rain_debug.datasets.scholar import DblpScholar, dblp_scholar
from rain_debug.datasets.shop import Shop, shop
from rain_debug.datasets.spam import EnronSpam, enron_spam
from rain_debug.datasets.telco import TelcoChurn, telco_churn

dblp = dblp_scholar
enron = enron_spam

__all__ = [
    "Adult",
    "Corrupted",
    "DblpScholar",
    "EnronSpam",
    "Mnist",
    "Shop",
    "TelcoChurn",
    "adult",
    "dblp",
    "dblp_scholar",
    "enron",
    "enron_spam",
    "mnist",
    "shop",
    "telco_churn",
]
