"""Data to try things on: the demo's shop, generated here, and loaders of public sets."""

from __future__ import annotations

from rain_debug.datasets.shop import Shop, shop

__all__ = ["Shop", "shop"]
