"""What the tokenizers made in `building` take for one token. Here, so that nobody loads torch to count words."""

import re

MASK = "<mask>"  # the gap in a text that is to be filled
WORD = re.compile(r"\([a-e]\)|-->|[a-z0-9]+(?:'[a-z]+)?|[^\sa-z0-9]")  # label, arrow, word or mark of lower-cased text
