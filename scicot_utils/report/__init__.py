"""Figures, tables and numbers in one house style, and their way into the book. It computes no result of its own.

Layers: `style`, the house style; `results`, what runs came to; on them, one module for each kind of evidence; then the
claims. Notebooks that make or train something import `style` alone, so that a change of how results are shown runs no
training again.
"""

from scicot_utils.report.accuracy import (
    ablation,
    ablation_figure,
    accuracy_figure,
    accuracy_table,
    grid_summary,
    seeds_table,
    test_in_forms_of_transfer,
    validation_table,
)
from scicot_utils.report.benchmark import ceilings, chance, citation, dataset_card, fairness
from scicot_utils.report.claims import CLAIMS, Verdicts, claims, claims_by_task, headline, headline_short
from scicot_utils.report.differences import (
    COMPARED,
    DIRECTIONS,
    HEADLINE,
    MIN_SEEDS,
    OTHER_ARMS,
    answer_groups,
    compare,
    compare_in_sweep,
    compare_in_variants,
    compare_transfer,
    comparison_table,
    differences_figure,
    direction,
    of_pairs,
    test_outcomes,
    transfer_table,
    variants_summary,
    would_settle,
)
from scicot_utils.report.diversity import (
    diversity_summary,
    measured_on_tasks,
    published,
    published_table,
    readings,
    tasks_of_the_paper,
    yields,
)
from scicot_utils.report.drawings import FLOW, FLOW_BOXES, argument_figure, flow_figure, layers, layers_figure
from scicot_utils.report.example import Texts, templates, test_followed, training_followed
from scicot_utils.report.explorer import Explorer, explorer_data
from scicot_utils.report.failures import FAILURES, failures, failures_summary
from scicot_utils.report.orders import orders, orders_figure, orders_summary, orders_table
from scicot_utils.report.quality import quality_figure, quality_of_rationales, quality_summary, quality_table
from scicot_utils.report.results import (
    Record,
    collect,
    costs,
    first_answers,
    how_measured,
    keep,
    measured_summary,
    metrics,
    over_seeds,
    record_tables,
    trained_with,
    where,
)
from scicot_utils.report.sizes import sizes_figure, sizes_summary, student_sizes
from scicot_utils.report.style import (
    ARMS,
    Details,
    Paragraph,
    Picture,
    ReportError,
    Stack,
    Table,
    arm_name,
    glue,
    interval,
    lengths_figure,
    loss_figure,
    percent,
    pivot,
    plural,
    scores,
    set_style,
    show,
    visible,
)
from scicot_utils.report.worlds import (
    agreement_figure,
    agreement_summary,
    beside_table,
    by_test,
    by_test_figure,
    by_test_summary,
    by_test_table,
    chance_summary,
    chances,
    common_comparisons,
    interval_side,
    published_beside,
    reference_lines,
    reference_summary,
    tests_of,
)

__all__ = [
    "ARMS", "CLAIMS", "COMPARED", "DIRECTIONS", "FAILURES", "FLOW", "FLOW_BOXES", "HEADLINE", "MIN_SEEDS",
    "OTHER_ARMS", "Details", "Explorer", "Paragraph", "Picture", "Record", "ReportError", "Stack", "Table", "Texts",
    "Verdicts", "ablation", "ablation_figure", "accuracy_figure", "accuracy_table", "agreement_figure",
    "agreement_summary", "answer_groups", "argument_figure", "arm_name", "beside_table", "by_test",
    "by_test_figure", "by_test_summary", "by_test_table", "ceilings", "chance", "chance_summary", "chances",
    "citation", "claims", "claims_by_task", "collect", "common_comparisons", "compare", "compare_in_sweep", "compare_in_variants",
    "compare_transfer", "comparison_table", "costs", "dataset_card", "differences_figure", "direction",
    "diversity_summary", "explorer_data", "failures", "failures_summary", "fairness", "first_answers",
    "flow_figure", "glue", "grid_summary", "headline", "headline_short", "how_measured", "interval", "interval_side", "keep",
    "layers", "layers_figure", "lengths_figure", "loss_figure", "measured_on_tasks", "measured_summary", "metrics",
    "of_pairs", "orders", "orders_figure", "orders_summary", "orders_table", "over_seeds", "percent", "pivot",
    "plural", "published", "published_beside", "published_table", "quality_figure", "quality_of_rationales",
    "quality_summary", "quality_table", "readings", "record_tables", "reference_lines", "reference_summary",
    "scores", "seeds_table", "set_style", "show", "sizes_figure", "sizes_summary", "student_sizes",
    "tasks_of_the_paper", "templates", "test_followed", "test_in_forms_of_transfer", "test_outcomes", "tests_of",
    "trained_with", "training_followed", "transfer_table", "validation_table", "variants_summary", "visible",
    "where", "would_settle", "yields",
]  # fmt: skip
