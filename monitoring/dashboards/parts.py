"""What the dashboards are made of: one way to draw a line, a number, a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from grafana_foundation_sdk.cog.builder import Builder

SOURCE = models.DataSourceRef(type_val="prometheus", uid="fleet")
#: Values with a word and a colour each.
Words: TypeAlias = "Mapping[int, tuple[str, str]]"
#: A panel, or a row that begins a part of the dashboard.
Panel: TypeAlias = "Builder[models.Panel]"
Part: TypeAlias = "Panel | dashboard.Row"
#: Green until the first value, amber until the second, red from there.
Limits: TypeAlias = tuple[float, float]
_GOOD, _LOOK, _BAD = "green", "orange", "red"
_TAG = "edge-router"


def board(uid: str, title: str, description: str, since: str = "now-24h") -> dashboard.Dashboard:
    """An empty dashboard with a menu of the others."""
    menu = (
        dashboard.DashboardLink("Fleet, truck, scanner, delivery")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([_TAG])
        .as_dropdown(True)
        .keep_time(True)
    )
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([_TAG])
        .time(since, "now")
        .timezone("utc")
        .refresh("1m")
        .link(menu)
    )


def variable(
    name: str, label: str, metric: str, where: str = "", *, every: bool = False
) -> dashboard.QueryVariable:
    """A choice among the values of a label."""
    chosen = dashboard.QueryVariable(name).label(label).datasource(SOURCE)
    chosen = chosen.query(f"label_values({metric}{where}, {name})")
    chosen = chosen.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    chosen = chosen.sort(models.VariableSort.ALPHABETICAL_ASC)
    if every:
        chosen = chosen.multi(True).include_all(True).all_value(".*")
    return chosen


def filled(found: dashboard.Dashboard, parts: Iterable[Part]) -> dashboard.Dashboard:
    """The dashboard with its parts, in their order."""
    for part in parts:
        found = found.with_row(part) if isinstance(part, dashboard.Row) else found.with_panel(part)
    return found


def row(title: str) -> dashboard.Row:
    """A row that begins a part of a board."""
    return dashboard.Row(title)


def _limits(limits: Limits | None, *, falling: bool) -> dashboard.ThresholdsConfig:
    colours = (_BAD, _LOOK, _GOOD) if falling else (_GOOD, _LOOK, _BAD)
    steps = [models.Threshold(value=None, color=colours[0] if limits else "blue")]
    for value, colour in zip(limits or (), colours[1:], strict=False):
        steps.append(models.Threshold(value=value, color=colour))
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _query(expression: str, legend: str, letter: str, *, instant: bool) -> prometheus.Dataquery:
    query = prometheus.Dataquery().datasource(SOURCE).expr(expression).ref_id(letter)
    query = query.legend_format(legend)
    return query.instant() if instant else query.range()


def lines(
    title: str,
    description: str,
    queries: Iterable[tuple[str, str]],
    unit: str,
    *,
    width: int = 12,
    limits: Limits | None = None,
    stacked: bool = False,
    least: float | None = 0,
    most: float | None = None,
) -> timeseries.Panel:
    """Lines over time; ``queries`` are expressions with their legends."""
    panel = timeseries.Panel().title(title).description(description).datasource(SOURCE)
    panel = panel.unit(unit).span(width).height(8).line_width(1).fill_opacity(8)
    panel = panel.thresholds(_limits(limits, falling=False)).show_points(
        common_models.VisibilityMode.AUTO
    )
    legend = common.VizLegendOptions().show_legend(True)
    legend = legend.display_mode(common_models.LegendDisplayMode.TABLE)
    legend = legend.placement(common_models.LegendPlacement.BOTTOM).calcs(["lastNotNull", "max"])
    tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    panel = panel.legend(legend).tooltip(tooltip)
    if limits:
        style = common.GraphThresholdsStyleConfig()
        panel = panel.thresholds_style(style.mode(common_models.GraphThresholdsStyleMode.DASHED))
    if stacked:
        style_of = common.StackingConfig().mode(common_models.StackingMode.NORMAL)
        panel = panel.stacking(style_of)
    if least is not None:
        panel = panel.min(least)
    if most is not None:
        panel = panel.max(most)
    for number, (expression, said) in enumerate(queries):
        panel = panel.with_target(_query(expression, said, chr(65 + number), instant=False))
    return panel


def number(
    title: str,
    description: str,
    expression: str,
    unit: str,
    *,
    limits: Limits | None = None,
    falling: bool = False,
    width: int = 4,
    said: Words | None = None,
) -> stat.Panel:
    """One number of now; ``said`` gives values a word and a colour."""
    panel = stat.Panel().title(title).description(description).datasource(SOURCE)
    panel = panel.unit(unit).span(width).height(4)
    panel = panel.thresholds(_limits(limits, falling=falling))
    panel = panel.color_mode(common_models.BigValueColorMode.BACKGROUND if limits or said
                             else common_models.BigValueColorMode.VALUE)  # fmt: skip
    panel = panel.graph_mode(common_models.BigValueGraphMode.NONE)
    if said:
        panel = panel.mappings([_words(said)])
    return panel.with_target(_query(expression, "", "A", instant=True))


def _words(said: Words) -> models.ValueMap:
    options = {
        f"{value:g}": models.ValueMappingResult(text=word, color=colour, index=place)
        for place, (value, (word, colour)) in enumerate(said.items())
    }
    return models.ValueMap(options=options)


class Column:
    """A column of a table: its query must keep the label that the rows are joined by."""

    def __init__(
        self,
        title: str,
        expression: str,
        unit: str = "none",
        limits: Limits | None = None,
        *,
        falling: bool = False,
        said: Words | None = None,
    ) -> None:
        self.title = title
        self.expression = expression
        self.unit = unit
        self.limits = limits
        self.falling = falling
        self.said = said

    def properties(self) -> list[models.DynamicConfigValue]:
        """How Grafana shows the column."""
        found = [models.DynamicConfigValue(id_val="unit", value=self.unit)]
        if self.limits:
            config = _limits(self.limits, falling=self.falling).build()
            found.append(models.DynamicConfigValue(id_val="thresholds", value=config))
        if self.said:
            found.append(models.DynamicConfigValue(id_val="mappings", value=[_words(self.said)]))
        if self.limits or self.said:
            cell = {"type": "color-background", "mode": "basic"}
            found.append(models.DynamicConfigValue(id_val="custom.cellOptions", value=cell))
        return found


def joined(
    title: str,
    description: str,
    by: str,
    columns: Sequence[Column],
    link: tuple[str, str],
    *,
    sort: str,
    height: int = 14,
) -> table.Panel:
    """A row for each value of a label; ``link`` is a title and an address for a click on it."""
    panel = _table(title, description, height)
    renamed: dict[str, str] = {by: by.capitalize()}
    hidden: dict[str, bool] = {}
    for place, column in enumerate(columns):
        letter = chr(65 + place)
        query = _query(column.expression, "", letter, instant=True).format(PromQueryFormat.TABLE)
        panel = panel.with_target(query)
        renamed[f"Value #{letter}"] = column.title
        hidden[f"Time {place + 1}"] = True
    hidden["Time"] = True
    panel = panel.with_transformation(
        models.DataTransformerConfig(
            id_val="joinByField", options={"byField": by, "mode": "outer"}
        )
    ).with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={
                "renameByName": renamed, "excludeByName": hidden,
                "indexByName": {name: place for place, name in enumerate(renamed)},
            },
        )
    )  # fmt: skip
    for column in columns:
        panel = panel.override_by_name(column.title, column.properties())
    address = {"title": link[0], "url": link[1]}
    clicked = models.DynamicConfigValue(id_val="links", value=[address])
    panel = panel.override_by_name(by.capitalize(), [clicked])
    return panel.sort_by([common.TableSortByFieldState().display_name(sort).desc(True)])


def listed(
    title: str, description: str, expression: str, unit: str, value: str, *, height: int = 9
) -> table.Panel:
    """A row for each series: its labels, and its value."""
    query = _query(expression, "", "A", instant=True).format(PromQueryFormat.TABLE)
    hidden = {"Time": True, "__name__": True, "job": True, "instance": True}
    panel = _table(title, description, height).with_target(query).with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={"excludeByName": hidden, "renameByName": {"Value": value}, "indexByName": {}},
        )
    )  # fmt: skip
    return panel.override_by_name(value, Column(value, "", unit).properties())


def _table(title: str, description: str, height: int) -> table.Panel:
    panel = table.Panel().title(title).description(description).datasource(SOURCE)
    return panel.span(24).height(height).show_header(True).filterable(True)
