"""Data to try things on: the demo's shop, generated here, and loaders of public sets.

A loader looks in the folder that the environment variable RAIN_DATA names, then in the user's cache, and downloads
last, from the canonical address and its mirrors, with a checksum.
"""

from __future__ import annotations

from rain_debug.datasets.adult import Adult, adult
from rain_debug.datasets.dblp import DblpScholar, dblp_scholar
from rain_debug.datasets.enron import EnronSpam, enron_spam
from rain_debug.datasets.mnist import Mnist, mnist
from rain_debug.datasets.shop import Shop, shop
from rain_debug.datasets.telco import TelcoChurn, telco_churn

__all__ = [
    "Adult",
    "DblpScholar",
    "EnronSpam",
    "Mnist",
    "Shop",
    "TelcoChurn",
    "adult",
    "dblp_scholar",
    "enron_spam",
    "mnist",
    "shop",
    "telco_churn",
]
