"""The same question about many features of a namespace, asked once. Pure.

Policies without queries of their own ask by the reference server's names, and differ in the feature alone. One query with the feature
among its labels answers for fifty of them, and the answer is taken apart again: a thousand policies then cost sixty queries and not
three thousand. Where such an answer is too large, one of the features is to blame; then each is asked alone, so that only that one
goes without.
"""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from brownout.decide.evidence import Missing
from brownout.observe import answers
from brownout.observe.answers import Series
from brownout.observe.ask import TOO_LARGE, Answer, Ask
from brownout.observe.engine_packs import matchers, quoted

FEATURE = "feature"
MOST_FEATURES = 50
MOST_SERIES = 5000
"""Of one answer for many features: a hundred for each, about 0.6 MB."""
ASK_ALONE = (TOO_LARGE, answers.refused(422))


class Question(Struct, frozen=True):
    """A query about features of a namespace: PromQL with `BY` for further labels and `MATCHERS` for those of a selector."""

    promql: str
    namespace: str

    def about(self, *features: str) -> str:
        """The query about these features; of more than one, each series says by its label `feature` whose it is."""
        if len(features) == 1:
            return self._with("", matchers({FEATURE: features[0], "namespace": self.namespace}))
        any_of = quoted("|".join(re.escape(feature) for feature in features))
        return self._with(f"{FEATURE}, ", f'{FEATURE}=~"{any_of}",{matchers({"namespace": self.namespace})}')

    def _with(self, by: str, selector: str) -> str:
        return self.promql.replace("BY", by).replace("MATCHERS", selector)


class Part(Struct, frozen=True):
    """What one policy asks: the ask that would be sent for it alone, and the question and feature that it consists of."""

    alone: Ask
    question: Question
    feature: str


class Together(Struct, frozen=True):
    """One ask for several parts."""

    ask: Ask
    parts: tuple[Part, ...]

    def is_too_much(self, answer: Answer) -> bool:
        """Whether the parts have to be asked alone."""
        return answer in ASK_ALONE if isinstance(answer, Missing) else len(answer) >= MOST_SERIES

    def taken_apart(self, answer: Answer) -> dict[Ask, Answer]:
        """The answer to each part, as if it had been asked alone."""
        if isinstance(answer, Missing):
            return {part.alone: answer for part in self.parts}
        of_feature: dict[str, list[Series]] = {}
        for series in answer:
            labels = dict(series.labels)
            of_feature.setdefault(labels.pop(FEATURE, ""), []).append(Series(labels, series.value))
        return {part.alone: tuple(of_feature.get(part.feature, ())) for part in self.parts}


def together(parts: Iterable[Part]) -> list[Together]:
    """As few asks as possible: the parts of one question and one source, in the order of their features, by fifty."""
    groups: dict[tuple[Question, Ask], list[Part]] = {}
    for part in parts:
        groups.setdefault((part.question, structs.replace(part.alone, query="")), []).append(part)
    found = []
    for (question, common), group in groups.items():
        ordered = sorted(group, key=lambda part: part.feature)
        for first in range(0, len(ordered), MOST_FEATURES):
            chunk = tuple(ordered[first : first + MOST_FEATURES])
            features = sorted({part.feature for part in chunk})
            limit = common.limit if len(features) == 1 else MOST_SERIES
            found.append(Together(structs.replace(common, query=question.about(*features), limit=limit), chunk))
    return found


def ask_alone(asked: Iterable[Together], answered: Mapping[Ask, Answer]) -> list[Ask]:
    """What has to be asked once more, of each policy alone."""
    return [
        part.alone
        for one in asked
        if one.ask != one.parts[0].alone and one.is_too_much(answered[one.ask])
        for part in one.parts
    ]


def take_apart(asked: Iterable[Together], answered: Mapping[Ask, Answer]) -> dict[Ask, Answer]:
    """The answers to every policy's own ask; one that was asked alone has its own."""
    found: dict[Ask, Answer] = {}
    for one in asked:
        if one.ask == one.parts[0].alone:
            found |= {part.alone: answered[one.ask] for part in one.parts}
        else:
            found |= one.taken_apart(answered[one.ask])
            found |= {part.alone: answered[part.alone] for part in one.parts if part.alone in answered}
    return found
