"""Benchmark results as an HTML page with charts."""

from typing import Any

import plotly.graph_objects as go

from facial_emotion_ros.evaluation.benchmark.text import ceiling, machine_text, network_of, share_of_roofline
from facial_emotion_ros.evaluation.markdown import percent
from facial_emotion_ros.evaluation.page import GRAY, ONE, chart, plain, render


def benchmark_html(found: dict[str, Any]) -> str:
    """Render the page.

    :param found: dict that `benchmark --json` writes.
    """
    measured = [record for record in found['records'] if 'per_s' in record]
    networks = [
        (network, [record for record in measured if network_of(found, record) is network])
        for network in found['networks']
    ]
    return render(
        'facial_emotion_ros.evaluation',
        'benchmark.html',
        title='Benchmark',
        machine=machine_text(found['machine']).replace('**', ''),
        command=found['machine']['command'],
        networks=[(network, _engines_chart(found, records)) for network, records in networks if records],
        roofline=bool(found.get('roofline')),
        stream=_stream_chart(found['stream']) if found.get('stream') else None,
    )


def _engines_chart(found: dict[str, Any], records: list[dict[str, Any]]) -> go.Figure:
    """Draw a bar for each engine, and a mark for the roofline of its precision."""
    names = [
        f'{record["engine"].replace("ExecutionProvider", "")} {record["precision"]}, {record["threads"]} '
        f'thread{"s" * (record["threads"] > 1)}'
        for record in records
    ]
    shares = [share_of_roofline(found, record) for record in records]
    figure = _bars_chart(len(records), 'faces a second')
    figure.add_bar(
        x=[round(record['per_s'], 2) for record in records],
        y=names,
        orientation='h',
        marker_color=[GRAY if record['engine'] == 'torch' else ONE for record in records],
        text=[
            f'{record["per_s"]:.0f}' + (f' ({percent(share)})' if share else '')
            for record, share in zip(records, shares)
        ],
        hovertext=[
            f'{record["median_ms"]:.2f} ms, 10 to 90%: {record["p10_ms"]:.2f} to {record["p90_ms"]:.2f}'
            for record in records
        ],
        hoverinfo='text',
    )
    ceilings = [(each, name) for each, name in zip((ceiling(found, record) for record in records), names) if each]
    if ceilings:
        x, y = zip(*ceilings)
        look = {'symbol': 'line-ns', 'size': 26, 'line': {'width': 2, 'color': GRAY}}
        figure.add_scatter(x=x, y=y, mode='markers', marker=look, hovertemplate='roofline: %{x:.0f}<extra></extra>')
    return figure


def _stream_chart(streams: list[dict[str, Any]]) -> go.Figure:
    """Draw the age of the node's results."""
    names = [
        plain(f'{each["width"]}x{each["height"]} {each["transport"]}, {each["faces"]} face{"s" * (each["faces"] > 1)}')
        for each in streams
    ]
    figure = _bars_chart(len(streams), 'age of the results in ms: median (blue), 99th percentile (gray)')
    for key, color, text in (('age_p99_ms', GRAY, True), ('age_p50_ms', ONE, False)):
        figure.add_bar(
            x=[each[key] for each in streams],
            y=names,
            orientation='h',
            marker_color=color,
            text=[
                f'{e["age_p50_ms"]:.0f}, {e["age_p99_ms"]:.0f} ms; {e["fps"]:.1f}/s' if text else '' for e in streams
            ],
            textposition='outside',
            hovertemplate='%{x:.0f} ms<extra></extra>',
        )
    return figure


def _bars_chart(count: int, title: str) -> go.Figure:
    figure = chart(34 * count + 64, barmode='overlay', hovermode='closest')
    figure.update_xaxes(title=title, rangemode='tozero')
    return figure.update_yaxes(autorange='reversed')
