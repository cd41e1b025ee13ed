"""Which prompts a step reads."""

from hypothesis import given
from hypothesis import strategies as st

from brownout_inference.engine.prefill import CHUNKS, PATIENT_STEPS, PREFILL_TOKENS, PREFILL_TOKENS_OF_MANY, Prefill


@given(st.dictionaries(st.integers(0, 99), st.integers(1, 5000), max_size=40), st.integers(0, 300))
def test_a_step_reads_no_more_than_its_budget_and_each_prompt_in_the_end(unread: dict[int, int], decoding: int) -> None:
    prefill, left = Prefill(), dict(unread)
    for _ in range(sum(unread.values()) * (PATIENT_STEPS + 1)):
        budget = PREFILL_TOKENS_OF_MANY if len(left) > decoding else PREFILL_TOKENS
        chunks = prefill.choose(left, decoding=decoding)
        assert sum(chunk.length for chunk in chunks) <= budget
        assert all(chunk.length in CHUNKS and chunk.count <= chunk.length for chunk in chunks)
        for chunk in chunks:
            left[chunk.key] -= chunk.count
        left = {key: tokens for key, tokens in left.items() if tokens}
        if not left:
            break
    assert not left


def test_few_prompts_wait_for_others_a_few_steps_beside_many_that_are_given_tokens() -> None:
    prefill = Prefill()
    reads = [bool(prefill.choose({1: 100}, decoding=64)) for _ in range(PATIENT_STEPS + 1)]
    assert reads == [False] * PATIENT_STEPS + [True]
    assert prefill.choose({1: 100}, decoding=8)
    assert prefill.choose(dict.fromkeys(range(4), 100), decoding=64)
    assert prefill.choose({1: 600}, decoding=64)
