
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

  // A line in all charts of a recording follows its films; a click on such a chart moves the films there. Of a camera
  // without a film, the last still image before that time is marked.
  const films = [...document.querySelectorAll('video')];
  const stills = [...document.querySelectorAll('.stills')].map(strip => [...strip.children]);
  const lines = timed.map(box => {
    const line = document.createElement('div');
    line.className = 'now';
    line.hidden = true;
    box.append(line);
    return line;
  });
  const end = Math.max(...timed.map(box => box.layout.xaxis.range[1]));
  let now = null;

  // Of a film's pieces, [time on the charts' axes, time in the film] in ms, the one that holds a time of either kind.
  const pieceOf = (film, kind, time) => {
    const pieces = JSON.parse(film.dataset.times);
    const place = Math.max(pieces.findLastIndex(piece => piece[kind] <= time), 0);
    return [...pieces[place], place + 1 < pieces.length ? pieces[place + 1][1] : Infinity];
  };

  function draw() {
    if (now === null) return;
    for (const strip of stills) {
      const current = strip.findLast(still => still.dataset.ms <= now);
      for (const still of strip) still.ariaCurrent = still === current ? 'true' : null;
      if (current) current.parentNode.scrollLeft = current.offsetLeft - current.parentNode.clientWidth / 2;
    }
    lines.forEach((line, place) => {
      const axis = timed[place]._fullLayout.xaxis, x = axis.l2p(now);
      line.hidden = !(x >= 0 && x <= axis._length);
      line.style.transform = `translateX(${axis._offset + x}px)`;
    });
  }

  function show(film) {
    const [onAxis, inFilm] = pieceOf(film, 1, 1000 * film.currentTime);
    now = Math.min(onAxis + 1000 * film.currentTime - inFilm, end);  // the film shows its last image a while longer
    draw();
  }

  for (const film of films) {
    const follow = () => {
      show(film);
      if (!film.paused) requestAnimationFrame(follow);
    };
    film.addEventListener('play', follow);
    for (const event of ['seeking', 'timeupdate', 'ended']) film.addEventListener(event, () => show(film));
  }
  if (films.length) show(films[0]);

  // Moves the films to a time on the charts' axes; without a film it is marked.
  function goTo(time) {
    for (const film of films) {
      const [onAxis, inFilm, until] = pieceOf(film, 0, time);
      film.currentTime = Math.min(Math.max(inFilm + time - onAxis, 0), until) / 1000;
    }
    if (!films.length) {
      now = time;
      draw();
    }
  }

  for (const still of stills.flat()) still.addEventListener('click', () => goTo(Number(still.dataset.ms)));
  for (const box of films.length || stills.length ? timed : []) {
    box.on('plotly_afterplot', draw);
    box.addEventListener('click', event => {
      const axis = box._fullLayout.xaxis;
      const x = event.clientX - box.getBoundingClientRect().left - axis._offset;
      if (x < 0 || x > axis._length || event.target.closest('.modebar')) return;
      goTo(axis.p2l(x));
    });
  }
  dark.addEventListener('change', () => boxes.forEach(box => Plotly.relayout(box, {template: theme()})));
})();
