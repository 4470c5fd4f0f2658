"""Figures, tables and numbers in one house style, and their way into the book. It computes no result of its own.

Layers: `book`, the house style with the tables, figures, records and claims of the study; on it, one module for each
further kind of evidence: `differences` between arms, `quality` of rationales, `sizes` of what answers, `orders` of
options.
"""

from scicot_utils.report.book import (
    ARMS,
    CLAIMS,
    COMPARED,
    FAILURES,
    FLOW,
    FLOW_BOXES,
    KEPT,
    MIN_SEEDS,
    Folded,
    Paragraph,
    Picture,
    Record,
    ReportError,
    Table,
    ablation,
    ablation_figure,
    accuracy_figure,
    accuracy_table,
    arm_name,
    ceilings,
    chance,
    citation,
    claims,
    collect,
    compare,
    compare_in_variants,
    comparison_table,
    dataset_card,
    failures,
    failures_told,
    fairness,
    flow_figure,
    glue,
    headline,
    how_measured,
    interval,
    keep,
    lengths_figure,
    loss_figure,
    metrics,
    over_seeds,
    percent,
    set_style,
    shared,
    test_in_forms_of_transfer,
    test_outcomes,
    validation_table,
    variants_table,
    variants_told,
    visible,
    where,
)  # fmt: skip
from scicot_utils.report.differences import differences_figure
from scicot_utils.report.diversity import (
    diversity_told,
    measured_on_tasks,
    published,
    published_table,
    tasks_of_the_paper,
    yields,
)
from scicot_utils.report.orders import orders, orders_figure, orders_table, orders_told
from scicot_utils.report.quality import quality_figure, quality_of_rationales, quality_table, quality_told
from scicot_utils.report.sizes import sizes_figure, sizes_told, student_sizes

__all__ = [
    "ARMS", "CLAIMS", "COMPARED", "FAILURES", "FLOW", "FLOW_BOXES", "KEPT", "MIN_SEEDS", "Folded", "Paragraph", "Picture",
    "Record", "ReportError", "Table", "ablation", "ablation_figure", "accuracy_figure", "accuracy_table", "arm_name", "ceilings",
    "chance", "citation", "claims", "collect", "compare", "compare_in_variants", "comparison_table", "dataset_card",
    "differences_figure", "diversity_told", "failures", "failures_told", "fairness", "flow_figure", "glue", "headline", "how_measured",
    "interval", "keep", "lengths_figure", "loss_figure", "measured_on_tasks", "metrics", "orders", "orders_figure", "orders_table", "orders_told", "over_seeds", "percent", "published", "published_table", "quality_figure",
    "quality_of_rationales", "quality_table", "quality_told", "set_style", "shared", "sizes_figure", "sizes_told", "student_sizes",
    "tasks_of_the_paper", "test_in_forms_of_transfer", "test_outcomes", "validation_table", "variants_table", "variants_told", "visible", "where", "yields",
]  # fmt: skip
