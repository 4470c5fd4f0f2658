"""What the tokenizers of `building` take for one token. Apart from it, so that a list of words needs no torch."""

import re

MASK = "<mask>"  # the gap in a text that is to be filled
WORD = re.compile(r"\([a-e]\)|-->|[a-z0-9]+(?:'[a-z]+)?|[^\sa-z0-9]")  # label, arrow, word or mark of lower-cased text
