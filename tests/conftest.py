"""Settings of every test: one thread a worker, the public data's folder, Hypothesis without a deadline."""

from __future__ import annotations

import gc
import os
from pathlib import Path

# Workers share the cores, so BLAS gets one thread in each; set before NumPy is first imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
if DATA.is_dir():
    os.environ.setdefault("RAIN_DATA", str(DATA))

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

# Two noisy cores: a slow example is no failure. Seeds are explicit, so that a run can be repeated.
settings.register_profile(
    "rain",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "rain"))

pytest_plugins = ("browser", "registered")


def pytest_collection_finish() -> None:
    """What was collected stays to the end: garbage is looked for among what the tests make, and less often."""
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout's folder."""
    return ROOT
