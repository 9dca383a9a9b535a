import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from beir_hybrid.array_files import map_array


@pytest.mark.parametrize(("faults", "is_read"), [(0, True), (2, True), (3, False)])
def test_a_fault_of_the_parser_is_no_fault_of_the_file(
    faults: int, is_read: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", np.array([[1.5, -2.0]], np.float32))
    parse, calls = ast.parse, []

    def fail_first(*arguments: Any, **options: Any) -> ast.AST:
        calls.append(arguments)
        if len(calls) <= faults:
            raise SystemError("AST constructor recursion depth mismatch (before=45, after=38)")
        return parse(*arguments, **options)

    monkeypatch.setattr(ast, "parse", fail_first)
    if is_read:
        assert map_array(tmp_path / "a.npy").tolist() == [[1.5, -2.0]]
    else:
        with pytest.raises(SystemError):
            map_array(tmp_path / "a.npy")
