"""Scanner QC: features of each device against the fleet, and what the miner named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.parts import board, filled, lines, listed, number, row, variable

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

    from dashboards.parts import Part

_WHERE = 'modality="$modality",view="$view",feature="$feature"'
_CHOSEN = '{truck=~"$truck",device=~"$device"}'
_FLAGGED = f"increase(edge_router_qc_flags_total{_CHOSEN}[1d])"
_BY = "truck, device, modality, view, feature"
_MEAN = (
    f"(sum by ({_BY}) (delta(edge_router_qc_feature_sum{{{_WHERE}}}[1d]))"
    f" / (sum by ({_BY}) (delta(edge_router_qc_feature_count{{{_WHERE}}}[1d])) > 0))"
)
#: The middle half of a normal distribution spans this many standard deviations.
_QUARTILES = 1.349


def made() -> Dashboard:
    """The board of the scanners."""
    found = board(
        "edge-scanner", "Scanner QC",
        "Daily means of a feature, of the chosen devices and of the fleet. The miner's findings are "
        "conditioned on breast thickness; these lines are not.", since="now-30d",
    )  # fmt: skip
    metric = "edge_router_qc_feature_count"
    found = found.with_variable(variable("modality", "Modality", metric))
    found = found.with_variable(variable("view", "View", metric, '{modality="$modality"}'))
    found = found.with_variable(
        variable("feature", "Feature", metric, '{modality="$modality",view="$view"}')
    )
    found = found.with_variable(variable("truck", "Truck", metric, every=True))
    found = found.with_variable(
        variable("device", "Device", metric, '{truck=~"$truck",modality="$modality"}', every=True)
    )
    return filled(found, _panels())


def _panels() -> list[Part]:
    spread = f"(quantile(0.75, {_MEAN}) - quantile(0.25, {_MEAN})) / {_QUARTILES}"
    return [
        number(
            "Scanners out of line", "Named by the miner.",
            "count(count by (truck, device) (fleet_qc_outlier)) or vector(0)", "none",
            limits=(1, 5), width=6,
        ),
        number(
            "Kinds of scanner", "Of this modality and view, by K-Means.",
            'fleet_qc_clusters{modality="$modality",view="$view"}', "none", width=6,
        ),
        number(
            "Distributions that drifted", "Of the fleet or of a truck.",
            "count(fleet_qc_distribution_drifted) or vector(0)", "none", limits=(1, 10), width=6,
        ),
        number(
            "Last look", "Since the miner has looked at the fleet.",
            "time() - fleet_qc_last_success_timestamp_seconds", "s", limits=(3600, 7200), width=6,
        ),
        lines(
            "$feature of the chosen devices, against the fleet",
            "Daily means; the fleet's median and three robust standard deviations around it.",
            [
                (_MEAN.replace(_WHERE, _WHERE + ',truck=~"$truck",device=~"$device"'),
                 "{{truck}} {{device}}"),
                (f"quantile(0.5, {_MEAN})", "fleet"),
                (f"quantile(0.5, {_MEAN}) + 3 * {spread}", "upper limit"),
                (f"quantile(0.5, {_MEAN}) - 3 * {spread}", "lower limit"),
            ],
            "none", width=24, least=None,
        ),
        lines(
            "Flagged images", "Per day, by device and flag: the twenty most frequent.",
            [(f"topk(20, sum by (truck, device, flag) ({_FLAGGED}))",
              "{{truck}} {{device}} {{flag}}")],
            "none", stacked=True,
        ),
        lines(
            "Stability of distributions", "PSI of the last week, of the fleet. Over 0.25: act.",
            [("fleet_qc_distribution_psi", "{{modality}} {{feature}}")], "none",
            limits=(0.1, 0.25),
        ),
        row("Findings"),
        listed(
            "Out of line", "In robust standard deviations; signed.",
            f"fleet_qc_outlier_deviation{_CHOSEN}", "none", "Deviation",
        ),
        listed(
            "How sure", "1 less the chance that any comparison shows it by accident.",
            f"fleet_qc_outlier_confidence_ratio{_CHOSEN}", "percentunit", "Sure",
        ),
        listed(
            "Changed since", "Steps and drifts.",
            f"fleet_qc_change_timestamp_seconds{_CHOSEN} * 1000", "dateTimeAsIso", "Since",
        ),
    ]  # fmt: skip
