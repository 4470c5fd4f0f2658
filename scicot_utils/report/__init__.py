"""Figures, tables and numbers in one house style, and their way into the book. It computes no result of its own.

Layers: `style`, the house style; `results`, what runs came to; on them, one module for each kind of evidence; then the
claims. Notebooks that make or train something import `style` alone, so that a change of how results are shown runs no
training again.
"""

# fmt: off
from scicot_utils.report.accuracy import (
    accuracy_figure, accuracy_table, by_test, by_test_figure, by_test_summary, by_test_table, chance_summary,
    chances, grid_summary, seeds_table, test_in_forms_of_transfer, tests_of, validation_table,
)
from scicot_utils.report.benchmark import ceilings, chance, citation, dataset_card, fairness
from scicot_utils.report.claims import CLAIMS, Verdicts, claims, claims_by_task, headline, headline_short
from scicot_utils.report.differences import (
    COMPARED, DIRECTIONS, HEADLINE, OTHER_ARMS, agreement_figure, agreement_summary, answer_groups,
    common_comparisons, compare, compare_in_sweep, compare_in_variants, compare_transfer, comparison_table,
    differences_figure, direction, of_pairs, test_outcomes, transfer_table, variants_summary, would_settle,
)
from scicot_utils.report.diversity import (
    beside_table, diversity_summary, measured_on_tasks, published, published_beside, published_table, readings,
    reference_lines, reference_summary, tasks_of_the_paper, yields,
)
from scicot_utils.report.drawings import FLOW, FLOW_BOXES, argument_figure, flow_figure, layers, layers_figure
from scicot_utils.report.effects import (
    ablation, ablation_figure, orders, orders_figure, orders_summary, orders_table, sizes_figure, sizes_summary,
    student_sizes,
)
from scicot_utils.report.explorer import Explorer, Texts, explorer_data, templates, test_followed, training_followed
from scicot_utils.report.quality import (
    FAILURES, failures, failures_summary, quality_figure, quality_of_rationales, quality_summary, quality_table,
)
from scicot_utils.report.results import (
    Record, collect, costs, first_answers, how_measured, interval_side, keep, measured_summary, metrics, over_seeds,
    record_tables, trained_with, where,
)
from scicot_utils.report.style import (
    ARMS, Details, Paragraph, Picture, ReportError, Stack, Table, arm_name, glue, interval, lengths_figure,
    loss_figure, percent, pivot, plural, scores, set_style, show, visible,
)
