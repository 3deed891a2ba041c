"""Panels as the dashboards of Omnitide have them: one data source, one look, queries in PromQL."""

from typing import Final

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
    VariableHide,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG: Final = "omnitide"
RATE: Final = "$__rate_interval"


def dashboard(uid: str, title: str, description: str) -> board.Dashboard:
    made = board.Dashboard(title).uid(uid).description(description).tags([TAG]).editable().timezone("browser")
    made.time("now-1h", "now").refresh("30s").tooltip(DashboardCursorSync.CROSSHAIR)
    made.with_variable(board.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    others = board.DashboardLink("Omnitide").tags([TAG]).as_dropdown(True).include_vars(True).keep_time(True)
    return made.link(others)


def choice(name: str, label: str, values: str) -> board.QueryVariable:
    """One of the values of a label, or all."""
    made = board.QueryVariable(name).label(label).datasource(SOURCE).query(values).multi(True).include_all(True)
    made.all_value(".*").refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
    return made.hide(VariableHide.DONT_HIDE)


def _query(expression: str, legend: str = "") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend or "__auto").datasource(SOURCE)


def number(
    title: str, expression: str, *, unit: str = "short", warn: float | None = None, good: bool = False
) -> stat.Panel:
    """One number. `warn`: from which on it is yellow; `good`: green at 1, red at 0."""
    made = stat.Panel().title(title).datasource(SOURCE).unit(unit).span(4).height(4)
    made.with_target(_query(expression).instant()).graph_mode(BigValueGraphMode.NONE)
    steps = [Threshold(color="text")]
    if good:
        steps = [Threshold(color="red"), Threshold(value=1, color="green")]
    elif warn is not None:
        steps = [Threshold(color="green"), Threshold(value=warn, color="orange")]
    made.thresholds(board.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    return made.color_mode(BigValueColorMode.VALUE)


def chart(
    title: str, unit: str, *queries: tuple[str, str], stacked: bool = False, top: float | None = None, about: str = ""
) -> timeseries.Panel:
    """Lines over time; each query with what its lines are called."""
    made = timeseries.Panel().title(title).datasource(SOURCE).unit(unit).span(12).height(8).min(0)
    if about:
        made.description(about)
    if top is not None:
        made.max(top)
    for index, (expression, legend) in enumerate(queries):
        made.with_target(_query(expression, legend).ref_id(chr(ord("A") + index)))
    made.draw_style(GraphDrawStyle.LINE).line_width(1.0).fill_opacity(15 if stacked else 5)
    made.show_points(VisibilityMode.NEVER)
    if stacked:
        made.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    made.legend(legend.show_legend(True).calcs([]))
    made.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    return made


def listing(title: str, columns: dict[str, str], *queries: str) -> table.Panel:
    """A table: a row for each set of labels, a column for each query. `columns`: what they are called, labels by their
    names and values as `Value #A` and so on, in order."""
    made = table.Panel().title(title).datasource(SOURCE).span(24).height(9).show_header(True)
    for index, expression in enumerate(queries):
        query = _query(expression).instant().format(PromQueryFormat.TABLE).ref_id(chr(ord("A") + index))
        made.with_target(query)
    made.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    order = {name: index for index, name in enumerate(columns)}
    organised = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": columns}
    made.with_transformation(DataTransformerConfig(id_val="organize", options=organised))
    return made
