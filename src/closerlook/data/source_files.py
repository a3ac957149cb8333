"""The source files of the paper's tasks: names, addresses and checksums."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from closerlook.files import sha256_of


@dataclass(frozen=True)
class SourceFile:
    """One file of a published data set.

    Attributes:
        relative_path: Where it lies under a data folder; the bare file name is accepted as well.
        url: Where it is downloaded from.
        checksum: What a download must have: a SHA-256, or a Git blob id written ``blob:...``.
        other_versions: Other versions known to give the same examples: checksum -> what it is.
    """

    relative_path: str
    url: str
    checksum: str
    other_versions: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The bare file name."""
        return self.relative_path.rsplit("/", 1)[-1]


_TREC = "https://cogcomp.seas.upenn.edu/Data/QA/QC/"
_PUD = "https://raw.githubusercontent.com/UniversalDependencies/UD_English-PUD/r2.5/"
_STREUSLE = "https://raw.githubusercontent.com/nert-nlp/streusle/v4.2/"

TREC_TRAIN = SourceFile(
    "TREC/train_5500.label",
    _TREC + "train_5500.label",
    "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3",
)
TREC_TEST = SourceFile(
    "TREC/TREC_10.label",
    _TREC + "TREC_10.label",
    "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e",
)
PUD = SourceFile(
    "UD_English-PUD/en_pud-ud-test.conllu",
    _PUD + "en_pud-ud-test.conllu",
    "e312f9f0273b51634e1b32b7f8c3122341c168a22713a5eefe2d2fbe15ca6545",
)
STREUSLE_TRAIN = SourceFile(
    "STREUSLE/train/streusle.ud_train.conllulex",
    _STREUSLE + "train/streusle.ud_train.conllulex",
    "blob:6cdf48613be30aa25805b3fcc6412d54758a2ab1",
    {
        "81844440dc8dd0fa18cd34d53a066c1458084cb14cf647aba3ecc88ef50d1b29": (
            "rebuilt from the release's .vis rendering: same sentences, tokens and preposition targets, "
            "without the ten UD columns and weak multiword groups"
        )
    },
)
STREUSLE_DEV = SourceFile(
    "STREUSLE/dev/streusle.ud_dev.conllulex",
    _STREUSLE + "dev/streusle.ud_dev.conllulex",
    "f2c87fa6f7033b20668d7fb60ae1f10154275c6cbb1f5ab2d78fa82559529b8d",
)
STREUSLE_TEST = SourceFile(
    "STREUSLE/test/streusle.ud_test.conllulex",
    _STREUSLE + "test/streusle.ud_test.conllulex",
    "cea04218b6c195bc4fc37f85a547c9f864ae2a07ebd9eaf788b4a54268686e90",
)


def file_checksum(path: Path, like: str = "") -> str:
    """A file's SHA-256 in hexadecimal, or its Git blob id with ``blob:`` before it.

    Args:
        path: The file.
        like: A checksum of the wanted kind; a SHA-256 unless it begins with ``blob:``.
    """
    if not like.startswith("blob:"):
        return sha256_of(path)
    data = path.read_bytes()
    # SHA-1 is what Git names its objects by; nothing secret hangs on it
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
    return f"blob:{blob.hexdigest()}"
