"""Charts of a report, as SVG text that needs no script, no style sheet and no network."""

from experiments.charts.forest import ForestRow, forest_plot
from experiments.charts.rates import RateRow, rates_chart

__all__ = ["ForestRow", "RateRow", "forest_plot", "rates_chart"]
