
// Draws each .chart of the page from the JSON inside it, in light or dark colours as the reader prefers.
(() => {
  'use strict';
  const boxes = [...document.querySelectorAll('.chart')];
  if (!window.Plotly) {
    for (const box of boxes) {
      box.textContent = 'This chart needs plotly.min.js, which is not where this page expects it.';
    }
    return;
  }
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const themes = JSON.parse(document.getElementById('themes').textContent);
  const theme = () => themes[dark.matches ? 'dark' : 'light'];
  const touch = matchMedia('(pointer: coarse)').matches;
  const timed = boxes.filter(box => 'timed' in box.dataset);
  let following = false;

  // Charts of the same recording show the same stretch of time.
  function follow(source, change) {
    if (following || !Object.keys(change).some(key => key.startsWith('xaxis.'))) return;
    following = true;
    const range = source.layout.xaxis.range.slice();
    const others = timed.filter(box => box !== source);
    Promise.all(others.map(box => Plotly.relayout(box, {'xaxis.range': range}))).finally(() => { following = false; });
  }

  for (const box of boxes) {
    const figure = JSON.parse(box.querySelector('script').textContent);
    box.textContent = '';
    figure.layout.template = theme();
    // A finger moves the page; the buttons of a chart still zoom.
    if (touch) figure.layout.dragmode = false;
    // What has equal scales is no higher than wide.
    if (figure.layout.yaxis.scaleanchor) {
      figure.layout.height = Math.min(figure.layout.height, box.clientWidth + 20);
      box.style.height = `${figure.layout.height}px`;
    }
    Plotly.newPlot(box, figure.data, figure.layout, {
      responsive: true, displaylogo: false,
      modeBarButtons: [['toImage', 'zoom2d', 'pan2d', 'zoomIn2d', 'zoomOut2d', 'resetScale2d']],
    });
    if (timed.includes(box)) box.on('plotly_relayout', change => follow(box, change));
  }
  dark.addEventListener('change', () => boxes.forEach(box => Plotly.relayout(box, {template: theme()})));
})();
