"""Addresses and checksums of the public sets. Sizes and sha256 are of the unpacked files."""

from __future__ import annotations

from rain_debug.datasets.store import PublicFile

_UCI = ("https://archive.ics.uci.edu/static/public/2/adult.zip",)
_OLD_UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
_TELCO = "https://raw.githubusercontent.com/IBM/telco-customer-churn-on-icp4d/master/data/Telco-Customer-Churn.csv"
ENRON = "http://www2.aueb.gr/users/ion/data/enron-spam/preprocessed/"


def _adult(name: str, size: int, sha256: str) -> PublicFile:
    return PublicFile(name, size, sha256, (*_UCI, _OLD_UCI + name), member=name)


def _mnist(name: str, size: int, sha256: str) -> PublicFile:
    return PublicFile(name, size, sha256, tuple(f"{base}{name}.gz" for base in _MNIST))


ADULT = {
    "train": _adult("adult.data", 3_974_305, "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"),
    "test": _adult("adult.test", 2_003_153, "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"),
}

MNIST = {
    "train images": _mnist(
        "train-images-idx3-ubyte",
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train labels": _mnist(
        "train-labels-idx1-ubyte", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "test images": _mnist(
        "t10k-images-idx3-ubyte", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "test labels": _mnist(
        "t10k-labels-idx1-ubyte", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
}

TELCO = PublicFile(
    "Telco-Customer-Churn.csv",
    970_457,
    "16320c9c1ec72448db59aa0a26a0b95401046bef5d02fd3aeb906448e3055e91",
    (_TELCO,),
)

DBLP = PublicFile("rain_features.csv", 1_048_819, "f024bccddf6ed4ee77a27ee3c79b8193231b822f094450538eba17caac337da4")
