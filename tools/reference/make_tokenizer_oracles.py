"""Makes packages/tokenizers/src/goldens/wordpiece.json and prints the values that the tests beside it expect.

    python tools/reference/make_tokenizer_oracles.py packages/tokenizers/src/goldens/wordpiece.json
"""

import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the whale wh ##ale ##s is white a b c d e . ! un ##seen".split()


def wordpiece() -> Tokenizer:
    vocabulary = {token: index for index, token in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def show(tokenizer: Tokenizer, strategy: str, length: int, stride: int, *texts: str) -> None:
    tokenizer.enable_truncation(length, strategy=strategy, stride=stride)
    try:
        first = tokenizer.encode(*texts)
        print(strategy, length, stride, texts, [one.ids for one in [first, *first.overflowing]])
    except BaseException as error:  # the binding raises its own kind
        print(strategy, length, stride, texts, error)


def main(path: str) -> None:
    tokenizer = wordpiece()
    tokenizer.save(path)
    encoded = tokenizer.encode("The Whales  is unseen, café! [MASK]")
    print(encoded.ids, tokenizer.decode(encoded.ids), tokenizer.decode(encoded.ids, skip_special_tokens=False))
    for strategy in ["longest_first", "only_first", "only_second"]:
        for length in range(4, 12):
            show(tokenizer, strategy, length, 0, "a b c d e", "the whale is")
    for length, stride in [(5, 0), (5, 1), (5, 2), (8, 2)]:
        show(tokenizer, "longest_first", length, stride, "a b c d e .")
    show(tokenizer, "only_first", 8, 2, "a b c d e .", "the whale")
    show(tokenizer, "only_second", 8, 2, "the whale", "a b c d e .")


if __name__ == "__main__":
    main(sys.argv[1])
