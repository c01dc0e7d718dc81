"""What a grammar costs by itself: building, compiling, a mask per token; no engine.

    python benchmarks/grammar_cost.py --compact 100 --full 10

Tokens are drawn uniformly from what xgrammar's masks allow, as a model that knows nothing would,
and every answer is parsed.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
import xgrammar
from transformers import AutoTokenizer

from defects.errors import ParseError
from defects.hosts import get_host
from defects.rules import Rules
from defects.text import Frame, Request, answer_grammar, parse_answer, random_frame
from training.bundled import resolve_base

CASES = (("4x4", 6), ("8x8", 3), ("8x8", 6))


def sample(compiled, vocabulary: int, generator: torch.Generator) -> tuple[list[int], float]:
    """One answer's tokens, and the processor time that matching and masks took, s."""
    matcher = xgrammar.GrammarMatcher(compiled)
    mask = xgrammar.allocate_token_bitmask(1, vocabulary)
    tokens: list[int] = []
    spent = 0.0
    while not matcher.is_terminated():
        start = time.process_time()
        matcher.fill_next_token_bitmask(mask, 0)
        spent += time.process_time() - start
        logits = torch.zeros(1, vocabulary)
        xgrammar.apply_token_bitmask_inplace(logits, mask)
        allowed = torch.nonzero(torch.isfinite(logits[0])).flatten()
        tokens.append(int(allowed[torch.randint(len(allowed), (1,), generator=generator)]))
        start = time.process_time()
        matcher.accept_token(tokens[-1])
        spent += time.process_time() - start
    return tokens, spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compact", type=int, default=100, help="answers")
    parser.add_argument("--full", type=int, default=10, help="answers")
    parser.add_argument("--cases", type=int, default=len(CASES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(resolve_base("small"))
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=len(tokenizer))
    compiler = xgrammar.GrammarCompiler(info, max_threads=1)
    generator = torch.Generator().manual_seed(0)
    for cell, most in CASES[: args.cases]:
        rules = Rules(defects=("V_Mo", "V_S", "W_Mo", "Se_S"), max_defects=most)
        host = get_host("MoS2", cell)
        for fmt, number in (("compact", args.compact), ("full", args.full)):
            if not number:
                continue
            frame = random_frame(host, np.random.default_rng(0)) if fmt == "full" else Frame()
            request = Request(host, rules, {}, frame)
            start = time.process_time()
            grammar = answer_grammar(request, fmt)
            text = grammar.to_ebnf()
            built = time.process_time() - start
            start = time.process_time()
            compiled = compiler.compile_grammar(text)
            made = time.process_time() - start
            spent, tokens, valid = 0.0, 0, 0
            for _ in range(number):
                ids, seconds = sample(compiled, len(tokenizer), generator)
                spent, tokens = spent + seconds, tokens + len(ids)
                try:
                    parse_answer(tokenizer.decode(ids, skip_special_tokens=True), request, fmt)
                    valid += 1
                except ParseError as error:
                    print(error)
            print(
                f"{cell} {most} {fmt:8} {len(grammar.states):6} states  built {built:.2f} s  "
                f"compiled {made:.2f} s  {1e6 * spent / tokens:.0f} us/token  "
                f"{tokens / number:.0f} tokens  valid {valid}/{number}",
                flush=True,
            )


if __name__ == "__main__":
    main()
