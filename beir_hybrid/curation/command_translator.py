"""Translation by a program that reads lines of text and writes as many, such as Apertium."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence

from beir_hybrid.errors import BadData, BadOption, find_reason

_LONGEST = 10_000  # letters of a text


class CommandTranslator:
    """A program that translates the lines of its standard input.

    Parameters
    ----------
    command
        Words as a shell splits them, but no shell runs them; ``{source}`` and ``{target}`` in them
        become the codes of the languages, as in ``my-translator {source} {target}``.
    """

    batch_size = 1024
    longest = _LONGEST

    def __init__(self, command: str) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise BadOption(f"command {command!r} cannot be split into words: {error}") from error
        self.name = f"command:{command}"
        self.fingerprint: Mapping[str, object] = {"command": self._words}

    def measure(self, text: str) -> int:
        """Return the number of letters."""
        return len(text)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Run the program once for all texts."""
        words = [
            word.replace("{source}", source).replace("{target}", target) for word in self._words
        ]
        text = "".join(f"{text}\n" for text in texts).encode()
        try:
            process = subprocess.run(words, input=text, capture_output=True, check=False)
        except (OSError, ValueError) as error:
            raise BadOption(f"{words[0]!r} does not run: {find_reason(error)}") from error
        if process.returncode:
            complaint = process.stderr.decode("utf-8", "replace").strip()
            reason = (complaint.splitlines() or ["it says nothing"])[-1]
            raise BadData(f"{words[0]} ended with code {process.returncode}: {reason:.200}")
        try:
            lines = process.stdout.decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            raise BadData(f"{words[0]} writes no UTF-8: {error}") from error
        if lines[-1] == "":
            lines.pop()
        if len(lines) != len(texts):
            raise BadData(
                f"{words[0]} wrote {len(lines)} lines for {len(texts)}; it has to write a line for "
                "each, at once or at the end"
            )
        return [line.strip() for line in lines]
