"""What ran, where and with what: how every notebook opens, and the record that it leaves beside its outputs.

`begin` turns a notebook's parameters into validated settings and paths (`opening`). `Study` shows and saves results, and
writes provenance.json (`study`). The rest says what goes into a record or into the pipeline: the files that a recipe reads
from outside (`outside`), the package's files that a notebook runs (`imports`), the machine and the commit (`records`).
"""

# fmt: off
from scicot_utils.provenance.imports import code, modules
from scicot_utils.provenance.opening import begin
from scicot_utils.provenance.outside import InputError, benchmarks, content, fetch, locate, sources
from scicot_utils.provenance.records import commit
from scicot_utils.provenance.study import ENGINE, Study
