"""Translation of training groups: pieces, engines, the cache, kills, and bad translations."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import beir_hybrid as bh
from beir_hybrid.curation.text_pieces import split_text
from beir_hybrid.curation.translators import open_translator
from beir_hybrid.errors import (
    BadData,
    BadOption,
    MissingExtra,
    NotWritable,
    UnknownName,
    Unreachable,
)
from tests.group_files import read_rows, read_step, write_rows
from tests.test_cli_evaluate import RunCli, run_cli  # noqa: F401 - a fixture
from tests.translation_models import save_nllb_model, save_plain_model, save_word_model

ROWS: list[dict[str, Any]] = [
    {"id": "1", "query": {"en": "who?"}, "positive": {"en": "she. he!\nthey"}},
    {"id": "2", "query": {"en": "who?", "de": "Wer?"}, "positive": {"en": "it"}, "note": 1},
    {"id": "3", "query": {"fr": "qui?"}, "positive": {"fr": "lui"}},
    {"id": "4", "query": {"en": " "}, "positive": {"en": "no"}},
]


class Capitals:
    """Translates into capitals with the language before them, and lists its batches."""

    name = "capitals"
    fingerprint: Mapping[str, object] = {"kind": "capitals"}
    batch_size = 2
    longest = 6

    def __init__(self, limit: int = 99) -> None:
        self.batches: list[list[str]] = []
        self.limit = limit  # batches until it breaks down

    def measure(self, text: str) -> int:
        return len(text)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        if len(self.batches) == self.limit:
            raise KeyboardInterrupt
        self.batches.append(list(texts))
        return [f"{source}-{target} {text.upper()}" for text in texts]


def test_texts_are_added_to_groups(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "en.jsonl", ROWS)
    engine = Capitals()
    record = bh.translate_pairs(path, tmp_path / "all.jsonl", "deu", engine)
    assert read_rows(tmp_path / "all.jsonl") == [
        {
            "id": "1",
            "query": {"en": "who?", "de": "en-de WHO?"},
            "positive": {"en": "she. he!\nthey", "de": "en-de SHE. en-de HE!\nen-de THEY"},
            "translated": {"de": "capitals"},
        },
        {
            "id": "2",
            "query": {"en": "who?", "de": "Wer?"},
            "positive": {"en": "it", "de": "en-de IT"},
            "note": 1,
            "translated": {"de": "capitals"},
        },
        ROWS[2],
        {**ROWS[3], "positive": {"en": "no", "de": "en-de NO"}, "translated": {"de": "capitals"}},
    ]
    # Distinct pieces, the shortest first; "she. he!" is longer than 6 letters.
    assert engine.batches == [["it", "no"], ["he!", "she."], ["they", "who?"]]
    assert record.counts == {
        "groups": 4, "texts": 4, "split": 1, "without source": 1, "problems": {},
    }  # fmt: skip
    # Another file with the same texts calls nothing; another engine or language does.
    bh.translate_pairs(path, tmp_path / "again.jsonl", "de", silent := Capitals(0))
    assert silent.batches == []
    assert read_rows(tmp_path / "again.jsonl") == read_rows(tmp_path / "all.jsonl")
    bh.translate_pairs(path, tmp_path / "fr.jsonl", ["de", "fr"], engine := Capitals())
    assert len(engine.batches) == 3
    assert read_rows(tmp_path / "fr.jsonl")[0]["query"]["fr"] == "en-fr WHO?"


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_a_broken_translation_goes_on_to_the_same_bytes(tmp_path: Path, limit: int) -> None:
    path = write_rows(tmp_path / "en.jsonl", ROWS)
    with pytest.raises(KeyboardInterrupt):
        bh.translate_pairs(path, tmp_path / "all.jsonl", "de", first := Capitals(limit))
    assert not (tmp_path / "all.jsonl").exists()
    bh.translate_pairs(path, tmp_path / "all.jsonl", "de", second := Capitals())
    assert [*first.batches, *second.batches] == [["it", "no"], ["he!", "she."], ["they", "who?"]]
    resumed = read_step(tmp_path / "all.jsonl")
    shutil.rmtree(tmp_path / "cache")
    for file in tmp_path.glob("all.*"):
        file.unlink()
    bh.translate_pairs(path, tmp_path / "all.jsonl", "de", Capitals())
    assert read_step(tmp_path / "all.jsonl") == resumed


@pytest.mark.parametrize(
    ("text", "longest", "pieces"),
    [
        ("", 9, []),
        (" \n ", 9, []),
        ("one two", 9, ["one two"]),
        (" one\r\n\n two ", 9, ["one", "two"]),
        ("One. Two. Three.", 9, ["One. Two.", "Three."]),
        ("one two three four", 9, ["one two", "three", "four"]),
        ("abcdefghijklm", 4, ["abc", "def", "ghi", "jklm"]),
        ("一二三。四五六\uff01七", 5, ["一二三。", "四五六\uff01七"]),
        ("क्या। हाँ।", 7, ["क्या।", "हाँ।"]),
    ],
)
def test_pieces_fit_and_join_to_the_text(text: str, longest: int, pieces: list[str]) -> None:
    split = split_text(text, lambda piece: len(piece) <= longest)
    assert list(split.pieces) == pieces
    assert split.join(split.pieces) == text
    assert split.is_split == any(len(line.strip()) > longest for line in text.splitlines())
    sentences = split_text(text, lambda piece: len(piece) <= 99, by_sentence=True)
    assert sentences.join(sentences.pieces) == text
    assert not sentences.is_split


def test_pieces_of_random_texts_fit_and_join() -> None:
    rng = random.Random(1)  # noqa: S311 - no secret
    signs = "ab. !?\n\r\u2028\u00a0\u3002\uff01\u0964\t\x0b\x85\u3000c\u2026\x1c"
    for _ in range(5000):
        text, longest = "".join(rng.choices(signs, k=rng.randint(0, 20))), rng.randint(1, 8)

        def fits(piece: str, longest: int = longest) -> bool:
            return len(piece) <= longest

        for by_sentence in (False, True):
            split = split_text(text, fits, by_sentence=by_sentence)
            assert split.join(split.pieces) == text
            assert all(len(piece) <= longest for piece in split.pieces)
            assert all(piece.splitlines() == [piece.strip()] for piece in split.pieces)


PROGRAM = """
import sys
lines = sys.stdin.read().split("\\n")[:-1]
mode = sys.argv[1]
if mode == "few":
    lines = lines[1:]
if mode == "bytes":
    sys.stdout.buffer.write(b"\\xff\\n" * len(lines))
    sys.exit()
if mode == "fail":
    sys.exit("no dictionary")
table = {"in 1990": "im Jahr 1909", "see <b>it</b>": "siehe es", "odd": "", "it": "es"}
for line in lines:
    print(table.get(line, f"{sys.argv[2]}:{line}"))
"""


def write_program(folder: Path) -> Path:
    path = folder / "a program.py"
    path.write_text(PROGRAM)
    return path


def test_a_program_translates_lines_on_the_command_line(
    tmp_path: Path,
    run_cli: RunCli,  # noqa: F811
) -> None:
    texts = ["in 1990", "see <b>it</b>", "odd", "it", "other; $(echo x) {source}"]
    rows = [{"query": f"{n} {text}", "positive": text} for n, text in enumerate(texts)]
    path = write_rows(tmp_path / "en.jsonl", rows)
    command = f"command:'{sys.executable}' '{write_program(tmp_path)}' good {{target}}"
    output = tmp_path / "all.jsonl"
    arguments = ("translate", path, "--to", "de,fr", "--output", output, "--language", "en")
    outcome = run_cli(*arguments, "--with", command)
    assert outcome.code == 0, outcome.err
    groups = read_rows(output)
    assert [group["positive"].get("de") for group in groups] == [
        "im Jahr 1909", "siehe es", None, "es", "de:other; $(echo x) {source}",
    ]  # fmt: skip
    assert groups[4]["query"] == {
        "en": "4 other; $(echo x) {source}",
        "de": "de:4 other; $(echo x) {source}",
        "fr": "fr:4 other; $(echo x) {source}",
    }
    assert "translated" in groups[2]
    assert outcome.out.splitlines() == [
        "groups  5", "texts  18", "split  0", "without source  0", "problems", "  empty",
        "    de  1", "    fr  1", "  numbers", "    de  1", "    fr  1", "  placeholders",
        "    de  1", "    fr  1", f"saved in {output}",
    ]  # fmt: skip
    assert read_rows(tmp_path / "all.dropped.jsonl")[0] == {
        "id": "2", "reason": "empty", "part": "positive", "language": "de",
    }  # fmt: skip
    outcome = run_cli(*arguments, "--with", "hff:x")
    assert outcome.err == "UnknownName: no engine 'hff'; did you mean 'hf'?\n"


@pytest.mark.parametrize(
    ("engine", "error", "message"),
    [
        ("command:{python} {program} few x", BadData, "wrote 1 lines for 2"),
        ("command:{python} {program} fail", BadData, "ended with code 1: no dictionary"),
        ("command:{python} {program} bytes", BadData, "writes no UTF-8"),
        ("command:/nowhere/program", BadOption, "'/nowhere/program' does not run"),
        ("command:'", BadOption, "cannot be split into words"),
        ("command:", BadOption, "names no PROGRAM"),
        ("openai:model", BadOption, "an endpoint is openai:MODEL@URL"),
        ("openai:m@ftp://x.org", BadOption, "an endpoint is openai:MODEL@URL"),
        (
            "openai:m@https://me:secret@x.org",
            BadOption,
            "a key goes into the environment's OPENAI_API_KEY",
        ),
        ("hf:/nowhere", BadData, "'/nowhere' is no model that translates"),
    ],
)
def test_engines_that_do_not_work(
    tmp_path: Path, engine: str, error: type[Exception], message: str
) -> None:
    path = write_rows(tmp_path / "en.jsonl", [{"query": {"en": "a"}, "positive": {"en": "b"}}])
    program = f"'{write_program(tmp_path)}'"
    name = engine.replace("{python}", sys.executable).replace("{program}", program)
    with pytest.raises(error, match=re.escape(message)):
        bh.translate_pairs(path, tmp_path / "all.jsonl", "de", name)
    assert not (tmp_path / "all.jsonl").exists()


class _Chat(BaseHTTPRequestHandler):
    """Answers as a chat model that reverses texts."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server: Any = self.server
        server.requests.append((self.path, self.headers.get("Authorization"), body))
        status = server.statuses.pop(0) if server.statuses else 200
        text = body["messages"][-1]["content"]
        answer = {"choices": [{"message": {"content": f" {text[::-1]}\n"}}]}
        content = json.dumps(answer if status == 200 else server.failure).encode()
        self.send_response(200 if status == 0 else status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@contextmanager
def serve_chat(statuses: Sequence[int] = (), failure: object = None) -> Iterator[Any]:
    """Serve a chat model; a status of 0 is a good one with a bad body."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Chat) as server:
        http: Any = server
        http.statuses, http.failure, http.requests = list(statuses), failure, []
        http.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield http
        finally:
            server.shutdown()
            thread.join()


def test_an_endpoint_translates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")  # which this machine's own addresses are not
    monkeypatch.setattr("beir_hybrid.encoding.endpoint.BACK_OFF", 0.01)
    path = write_rows(tmp_path / "en.jsonl", ROWS[:1])
    with serve_chat([503, 429]) as server:
        bh.translate_pairs(path, tmp_path / "all.jsonl", "zh", f"openai:a/b@{server.url}")
    (group,) = read_rows(tmp_path / "all.jsonl")
    assert group["query"]["zh"] == "?ohw"
    assert group["positive"]["zh"] == "!eh .ehs\nyeht"
    assert group["translated"] == {"zh": f"openai:a/b@{server.url}"}
    assert len(server.requests) == 5
    for place, key, body in server.requests:
        assert (place, key) == ("/v1/chat/completions", "Bearer secret-key")
        assert (body["model"], body["temperature"]) == ("a/b", 0)
        assert "from English to Chinese" in body["messages"][0]["content"]
    assert {body["messages"][1]["content"] for *_, body in server.requests} == {
        "who?", "she. he!", "they",
    }  # fmt: skip
    for file in [*tmp_path.glob("all*"), *(tmp_path / "cache").rglob("*.sqlite")]:
        assert b"secret-key" not in file.read_bytes()


@pytest.mark.parametrize(
    ("statuses", "failure", "error", "message"),
    [
        ([401] * 9, None, BadOption, r"environment's OPENAI_API_KEY \(401\)"),
        ([400] * 9, None, BadData, "refuses a text of 4 characters .*400 Bad Request"),
        ([500] * 99, None, Unreachable, "the server answers 500 Internal Server Error"),
        ([0] * 9, {"error": "x"}, BadData, "does not answer as the protocol says"),
        ([0] * 9, {"choices": [{"message": {"content": None}}]}, BadData, "None is no text"),
    ],
)
def test_endpoints_that_fail(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    statuses: list[int],
    failure: object,
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.setattr("beir_hybrid.encoding.endpoint.BACK_OFF", 0.001)
    path = write_rows(tmp_path / "en.jsonl", ROWS[:1])
    with serve_chat(statuses, failure) as server, pytest.raises(error, match=message):
        bh.translate_pairs(path, tmp_path / "all.jsonl", "de", f"openai:m@{server.url}")


def test_a_key_is_not_sent_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    engine = open_translator("openai:m@http://192.0.2.1/v1")
    with pytest.raises(BadOption, match=r"OPENAI_API_KEY would go to 192\.0\.2\.1 unencrypted"):
        engine.translate(["a"], "en", "de")
    monkeypatch.setenv("BEIR_HYBRID_OFFLINE", "1")
    with pytest.raises(Unreachable, match="which BEIR_HYBRID_OFFLINE forbids"):
        engine.translate(["a"], "en", "de")


SLOW = """
import sys, time
for line in sys.stdin:
    print(line.strip() + "!")
time.sleep(0.3)
"""


def test_a_killed_translation_goes_on(tmp_path: Path) -> None:
    """The program translates 1024 texts at a time; after two of five batches comes the kill."""
    program = tmp_path / "slow.py"
    program.write_text(SLOW)
    rows = [
        {"id": str(n), "query": {"en": f"q{n}"}, "positive": {"en": f"p{n}"}} for n in range(2500)
    ]
    path = write_rows(tmp_path / "en.jsonl", rows)
    code = (
        "import sys, beir_hybrid as bh; "
        "bh.translate_pairs(sys.argv[1], sys.argv[2], 'de', sys.argv[3])"
    )
    output, engine = tmp_path / "all.jsonl", f"command:{sys.executable} {program}"
    words = [sys.executable, "-c", code, str(path), str(output), engine]
    process = subprocess.Popen(words)
    try:
        deadline = time.monotonic() + 120
        while count_translations(tmp_path / "cache") < 2048:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not output.exists()
    assert count_translations(tmp_path / "cache") < 5000
    subprocess.run(words, check=True)
    assert count_translations(tmp_path / "cache") == 5000
    assert read_rows(output)[7]["positive"] == {"en": "p7", "de": "p7!"}


def count_translations(cache: Path) -> int:
    """Count the translations in the cache."""
    count = 0
    for path in cache.glob("translations/*.sqlite"):
        try:
            with sqlite3.connect(path) as database:
                count += database.execute("SELECT count(*) FROM translations").fetchone()[0]
            database.close()
        except sqlite3.OperationalError:  # it is being made
            return 0
    return count


def test_a_damaged_cache_and_a_full_disk_are_errors(tmp_path: Path, own_cache: Path) -> None:
    path = write_rows(tmp_path / "en.jsonl", ROWS)
    bh.translate_pairs(path, tmp_path / "all.jsonl", "de", Capitals())
    (database,) = (own_cache / "translations").glob("*.sqlite")
    database.write_bytes(b"no database, but long enough to be one" * 99)
    with pytest.raises(BadData, match=r"\.sqlite is damaged: .*; remove it and run again"):
        bh.translate_pairs(path, tmp_path / "again.jsonl", "de", Capitals())
    shutil.rmtree(own_cache / "translations")
    (own_cache / "translations").write_text("in the way")
    with pytest.raises(NotWritable, match="set BEIR_HYBRID_CACHE"):
        bh.translate_pairs(path, tmp_path / "again.jsonl", "de", Capitals())


def test_another_language_of_plain_texts_is_another_request(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "plain.jsonl", [{"query": "who?", "positive": "she"}])
    output = tmp_path / "all.jsonl"
    bh.translate_pairs(path, output, "fr", Capitals(), language="de")
    with pytest.raises(BadOption, match="was made with another language; remove it"):
        bh.translate_pairs(path, output, "fr", Capitals(), language="en")
    bh.translate_pairs(path, output, "fr", Capitals(), language="deu")


def test_bad_requests(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "en.jsonl", ROWS)
    output = tmp_path / "all.jsonl"
    with pytest.raises(BadOption, match="no language to translate into is named"):
        bh.translate_pairs(path, output, [], Capitals())
    with pytest.raises(BadOption, match="'en' is the language to translate from"):
        bh.translate_pairs(path, output, ["de", "en"], Capitals())
    with pytest.raises(BadData, match="unknown language code 'xx-yy'"):
        bh.translate_pairs(path, output, "xx-yy", Capitals())
    with pytest.raises(BadOption, match=r"the output is .*all\.json; its name must end in \.jsonl"):
        bh.translate_pairs(path, tmp_path / "all.json", "de", Capitals())


def test_apertium_translates(tmp_path: Path) -> None:
    """It reads on over the end of a line, which moves words to other lines; not over blank ones."""
    if shutil.which("apertium") is None:
        pytest.skip("needs apertium with eng-spa, from Debian")
    lines = ["President of", "the United", "States", "In front", "of the house"]
    rows = [{"query": {"en": "Where is the house?"}, "positive": {"en": line}} for line in lines]
    path = write_rows(tmp_path / "en.jsonl", rows)
    engine = "command:sh -c 'sed G | apertium -u eng-spa | sed -n 1~2p'"
    bh.translate_pairs(path, tmp_path / "all.jsonl", "es", engine)
    groups = read_rows(tmp_path / "all.jsonl")
    assert all("casa" in group["query"]["es"] for group in groups)
    spanish = [group["positive"]["es"].lower() for group in groups]
    words = ["presidente", "unido", "estado", "delante", "casa"]
    assert [[word in text for text in spanish].index(True) for word in words] == [0, 1, 2, 3, 4]


@pytest.fixture(scope="module")
def word_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that translates ``w1`` into ``de1`` or ``fr1``."""
    return save_word_model(tmp_path_factory.mktemp("words") / "model")


def test_a_model_translates(tmp_path: Path, word_model: Path) -> None:
    """It reads 6 tokens: the language, four words and the end; longer texts are split."""
    texts = ["w3", "w1 w2 w4", " ".join(f"w{n % 10}" for n in range(13))]
    rows = [{"query": {"en": text}, "positive": {"en": "w5 w6"}} for text in texts]
    path = write_rows(tmp_path / "en.jsonl", rows)
    record = bh.translate_pairs(path, tmp_path / "all.jsonl", ["de", "fr"], f"hf:{word_model}")
    groups = read_rows(tmp_path / "all.jsonl")
    for lang in ("de", "fr"):
        assert [group["query"][lang] for group in groups] == [
            text.replace("w", lang) for text in texts
        ]
        assert groups[0]["positive"][lang] == f"{lang}5 {lang}6"
    assert record.counts["split"] == 1
    assert groups[0]["translated"] == dict.fromkeys(("de", "fr"), f"hf:{word_model}")
    engine = open_translator(f"hf:{word_model}")
    with pytest.raises(UnknownName, match=r"hf:.* translates into de, fr, not 'zh'"):
        engine.translate(["w1"], "en", "zh")


def test_models_are_told_languages_by_tokens(tmp_path: Path) -> None:
    from beir_hybrid.curation.model_translator import ModelTranslator

    engine = ModelTranslator(str(save_nllb_model(tmp_path / "nllb")))
    prefix, options = engine.name_languages("zh", "de")
    tokenizer = engine.tokenizer
    assert prefix == ""
    assert options == {"forced_bos_token_id": tokenizer.convert_tokens_to_ids("deu_Latn")}
    first, *_, last = tokenizer("a a").input_ids
    assert tokenizer.convert_ids_to_tokens([first, last]) == ["zho_Hans", "</s>"]
    assert len(engine.translate(["a", "a a a"], "zh", "de")) == 2
    assert engine.longest == 32
    with pytest.raises(BadOption, match=r"reads ace, .* not 'tlh'"):
        engine.name_languages("tlh", "de")


def test_a_model_without_tokens_of_languages_has_one_pair(tmp_path: Path) -> None:
    """The first that is asked for: nothing tells the model another language."""
    from beir_hybrid.curation.model_translator import ModelTranslator

    engine = ModelTranslator(str(save_plain_model(tmp_path / "plain")))
    assert engine.name_languages("en", "de") == ("", {})
    with pytest.raises(BadOption, match="translates from 'en' into 'de' alone"):
        engine.name_languages("en", "fr")
    # As the tokenizers of Marian do, where gmq is a family: the North Germanic languages.
    engine.tokenizer.source_lang, engine.tokenizer.target_lang = "gmq", "eng"
    assert engine.name_languages("da", "en") == engine.name_languages("sv", "en") == ("", {})
    with pytest.raises(BadOption, match="translates from 'gmq' into 'eng' alone"):
        engine.name_languages("da", "de")


def convert(model: Path, folder: Path, *names: str) -> Path:
    """Convert a model by CTranslate2, with files of its tokenizer."""
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(model), copy_files=list(names)).convert(str(folder))
    return folder


TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def test_a_converted_model_translates_as_the_model_does(tmp_path: Path, word_model: Path) -> None:
    converted = convert(word_model, tmp_path / "converted", *TOKENIZER)
    texts = ["w3", "w1 w2 w4", " ".join(f"w{n % 10}" for n in range(13)), "w9 <b>"]
    rows = [{"query": {"en": text}, "positive": {"en": "w5 w6"}} for text in texts]
    path = write_rows(tmp_path / "en.jsonl", rows)
    files: list[list[dict[str, Any]]] = []
    for engine in (f"ctranslate2:{converted}", f"hf:{word_model}"):
        output = tmp_path / f"{len(files)}.jsonl"
        record = bh.translate_pairs(path, output, ["de", "fr"], engine)
        assert record.counts["split"] == 1
        files.append(read_rows(output))
        assert files[-1][0].pop("translated") == dict.fromkeys(("de", "fr"), engine)
    for ours, theirs in zip(*files, strict=True):
        assert ours["query"] == theirs["query"]
        assert ours["positive"] == theirs["positive"]
    assert files[0][1]["query"] == {"en": "w1 w2 w4", "de": "de1 de2 de4", "fr": "fr1 fr2 fr4"}


def test_a_converted_model_is_told_languages_by_tokens(tmp_path: Path) -> None:
    """The token of the target is no part of the translation."""
    model = save_nllb_model(tmp_path / "nllb")
    converted = convert(model, tmp_path / "converted", *TOKENIZER)
    engines = [open_translator(f"ctranslate2:{converted}"), open_translator(f"hf:{model}")]
    texts = ["a", "a a a", "a a"]
    ours, theirs = (engine.translate(texts, "zh", "de") for engine in engines)
    assert ours == theirs
    assert engines[0].measure("a a a") == engines[1].measure("a a a")
    assert engines[0].fingerprint != engines[1].fingerprint


def test_folders_that_are_no_converted_model(
    tmp_path: Path, word_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadData, match=r"no converted model, which has model\.bin; make one by ct2"):
        open_translator(f"ctranslate2:{word_model}")
    converted = convert(word_model, tmp_path / "converted")
    with pytest.raises(BadData, match=r"cannot be read: .* --copy_files with the files of the"):
        open_translator(f"ctranslate2:{converted}")
    whole = convert(word_model, tmp_path / "whole", *TOKENIZER)
    content = (whole / "model.bin").read_bytes()
    (whole / "model.bin").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadData, match="cannot be read"):
        open_translator(f"ctranslate2:{whole}")
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(MissingExtra, match="pip install ctranslate2"):
        open_translator(f"ctranslate2:{whole}")
