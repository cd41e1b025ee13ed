"""What can never be loaded is said at once, by name: trying again would not help."""

import sys
from pathlib import Path

import pytest

from brownout_inference.engine.load import EngineSpec, LoadError, load_engine


def load(spec: EngineSpec) -> None:
    load_engine(spec, lambda what, part: None)


@pytest.mark.parametrize("model", ["image", "language"])
def test_a_number_format_that_there_is_not_is_named(model: str) -> None:
    with pytest.raises(LoadError, match="--dtype: dtype 'float17' is none of torch's; write auto"):
        load(EngineSpec(model=model, dtype="float17"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("class Mine:\n    def __init__(self", r"line 2: '\(' was never closed"),
        ("class Mine:\n    def __init__(self): pass", r"is called with \(spec, progress\)"),
        ("class Other: pass", "has no attribute 'Mine'"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
    ],
)
def test_an_engine_of_ones_own_that_cannot_be_made_is_told_apart_from_one_that_fails(
    text: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unfinished.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "unfinished", raising=False)
    with pytest.raises(LoadError, match=complaint):
        load(EngineSpec(model="python:unfinished.Mine"))


def test_the_readmes_engine_keeps_what_it_holds_where_it_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from brownout_inference.work import ImageWork

    readme = (Path(__file__).parents[3] / "inference/README.md").read_text()
    code = readme.partition("# mine.py\n")[2].partition("```")[0]
    there: dict[str, object] = {}
    exec(code, there)

    def my_pictures(prompt: str, count: int) -> list[object]:
        if prompt == "bad":
            raise ValueError(prompt)
        return [np.zeros((1, 8, 8), np.uint8)] * count

    there["my_pictures"] = my_pictures
    engine = there["Mine"](EngineSpec(model="python:mine.Mine"), lambda what, part: None)  # type: ignore[operator]
    for key, prompt in enumerate(("good", "bad", "good")):
        engine.join(key, ImageWork(prompt=prompt, pictures=2, frames=1, steps_per_frame=1))
    with pytest.raises(ValueError, match="bad"):
        engine.step([0, 1, 2])
    assert {key: len(each) for key, each in engine.step([0, 2]).finished.items()} == {0: 2, 2: 2}
