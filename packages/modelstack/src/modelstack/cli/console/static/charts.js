"use strict";
// Draws each figure.chart from the JSON inside it (see figure.py) with uPlot, and tells values under the pointer or, by
// the arrow keys, under the cursor. A figure that comes again keeps its plot, and gets the new data.
const Charts = (() => {
  const HEIGHT = 210, ROW = 26, AXES = 26, LEFT = 64, RIGHT = 14, LETTER = 6.6, NEAR = 8, APART = 70;
  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200]
    .concat([1, 2, 5, 10, 15, 30, 90].map((days) => days * 86400)); // seconds between two times on the axis
  const drawn = new Map(); // id of a figure -> what is drawn of it
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (name) => css(`--c-${name}`);
  const iso = (at) => new Date(at * 1000).toISOString();
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  function short(value) {
    for (const [size, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
      if (Math.abs(value) >= size) return `${Number((value / size).toPrecision(4))}${name}`;
    }
    return String(Number(value.toPrecision(4)));
  }

  // --- the data, in the form of uPlot

  // One time axis for all curves; `truth` has the values, `data` what is drawn of them, with the bands at the end.
  function tables(spec) {
    if (spec.lanes.length) {
      const times = spec.lanes.flatMap((lane) => lane.bars.map((bar) => bar.began));
      const at = [...new Set([spec.start, ...times, spec.end])].sort((a, b) => a - b);
      return { data: [at, at.map(() => null)], truth: [] };
    }
    const bare = spec.curves.map((curve) => [curve.x, curve.y]);
    const bands = spec.curves.filter((curve) => curve.low).map((curve) => [curve.x, curve.low, curve.high]);
    const ends = [[spec.start, spec.end], [undefined, undefined]], all = [ends, ...bare, ...bands];
    const joined = uPlot.join(all, all.map((one) => one.map(() => 2))); // 2: a gap lasts until the curve's next value
    joined.splice(1, 1);
    return { truth: joined.slice(1, 1 + bare.length), data: [joined[0], ...joined.slice(1).map((one) => shown(spec, one))] };
  }

  function shown(spec, values) {
    if (!spec.clamp && !spec.log) return values;
    const [low, high] = spec.clamp ?? [1e-6, Infinity];
    return values.map((value) => (value == null ? value : clamp(value, low, high)));
  }

  function extent(spec, low, high) {
    if (spec.lanes.length) return [0, spec.lanes.length];
    const known = [low, high, ...spec.limits.map((limit) => limit.value)].filter(Number.isFinite);
    if (spec.log) {
      const [least, most] = spec.clamp ?? [1e-6, 1e12];
      const powers = known.map((value) => Math.log10(clamp(value, least, most)));
      const floor = powers.length ? Math.floor(Math.min(...powers)) : 0;
      return [10 ** floor, 10 ** Math.max(Math.ceil(Math.max(...powers, floor)), floor + 1)];
    }
    if (spec.floor !== null) known.push(spec.floor);
    if (!known.length) known.push(0, 1);
    const least = Math.min(...known), most = Math.max(...known), room = (most - least) * 0.06 || 1;
    return [least === spec.floor ? least : least - room, most === spec.floor ? (least === most ? most + 1 : most) : most + room];
  }

  // --- how it looks

  function series(spec) {
    if (spec.lanes.length) return [{}, { show: true, points: { show: false } }];
    const bare = spec.curves.map((curve) => ({
      stroke: () => colour(curve.colour),
      width: 2,
      dash: curve.dash.length ? curve.dash : undefined,
      paths: spec.step ? uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { size: 5, fill: () => colour(curve.colour) },
    }));
    const ends = spec.curves.filter((curve) => curve.low).flatMap(() => [0, 1].map(() => ({
      stroke: "transparent", width: 0, points: { show: false },
    })));
    return [{}, ...bare, ...ends];
  }

  function bands(spec) {
    let next = spec.curves.length + 1;
    return spec.curves.filter((curve) => curve.low).map((curve) => {
      const ends = [next + 1, next];
      next += 2;
      return { series: ends, fill: () => `${colour(curve.colour)}38` };
    });
  }

  // A time that has no room at the end of the axis is left out, not cut off.
  function times(plot, splits, axis, space, step) {
    const right = plot.bbox.width / uPlot.pxRatio + RIGHT;
    return splits.map((at) => {
      const text = iso(at), told = at % 86400 === 0 ? text.slice(5, 10) : text.slice(11, step >= 60 ? 16 : 19);
      return plot.valToPos(at, "x") + (told.length * LETTER) / 2 > right ? "" : told;
    });
  }

  function axes(spec) {
    const line = () => css("--line"), text = () => css("--soft"), font = "12px system-ui, sans-serif";
    const both = { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 4 } };
    const names = spec.lanes.map((lane) => lane.name);
    const rows = {
      splits: () => names.map((name, at) => names.length - at - 0.5),
      values: () => names,
      size: Math.max(LEFT, ...names.map((name) => 16 + name.length * LETTER)),
      grid: { show: false },
    };
    // Powers of ten; of few, the numbers between them too.
    const powers = (plot, axis, low, high) => {
      const from = Math.round(Math.log10(low)), to = Math.round(Math.log10(high));
      const within = to - from > 2 ? [1] : [1, 2, 5];
      return Array.from({ length: to - from + 1 }, (none, at) => within.map((part) => part * 10 ** (from + at)))
        .flat().filter((value) => value <= high * 1.0001);
    };
    const values = { ...(spec.log ? { splits: powers, filter: (plot, splits) => splits } : {}), values: (plot, splits) => splits.map((value) => (value === null ? "" : short(value))), size: LEFT };
    return [{ ...both, values: times, incrs: STEPS, space: 70, size: AXES }, { ...both, ...(names.length ? rows : values) }];
  }

  function line(plot, width, dash, stroke, from, to) {
    const { ctx } = plot, ratio = uPlot.pxRatio;
    ctx.strokeStyle = stroke;
    ctx.lineWidth = width * ratio;
    ctx.setLineDash(dash.map((length) => length * ratio));
    ctx.beginPath();
    ctx.moveTo(...from);
    ctx.lineTo(...to);
    ctx.stroke();
  }

  function sign(plot, path, x, y, paint, filled) {
    const { ctx } = plot, outline = new Path2D(path);
    ctx.save();
    ctx.setLineDash([]);
    ctx.translate(x, y);
    ctx.scale(uPlot.pxRatio, uPlot.pxRatio);
    ctx.lineWidth = 1.8;
    ctx.strokeStyle = paint;
    ctx.fillStyle = filled ? paint : css("--paper");
    if (path.includes("Z")) ctx.fill(outline);
    ctx.stroke(outline);
    ctx.restore();
  }

  // Limits and what happened, below the curves. What happened stands on the time axis.
  function under(plot, spec) {
    const { left, top, width, height } = plot.bbox, { ctx } = plot, ratio = uPlot.pxRatio;
    ctx.save();
    for (const mark of spec.marks) {
      const x = plot.valToPos(mark.at, "x", true);
      line(plot, 1, [2, 4], css("--soft"), [x, top], [x, top + height]);
      sign(plot, "M0-7L4.5 0H-4.5Z", x, top + height, css("--soft"), true);
    }
    ctx.font = `${12 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    for (const limit of spec.limits) {
      const y = clamp(plot.valToPos(limit.value, "y", true), top, top + height);
      line(plot, 1.5, [5, 4], colour(limit.colour), [left, y], [left + width, y]);
      const told = `${limit.label} ${short(limit.value)}`;
      const place = [left + 5 * ratio, y - top > 20 * ratio ? y - 6 * ratio : y + 15 * ratio];
      ctx.setLineDash([]);
      ctx.fillStyle = css("--paper");
      ctx.fillRect(place[0], place[1] - 11 * ratio, ctx.measureText(told).width, 14 * ratio);
      ctx.fillStyle = colour(limit.colour);
      ctx.fillText(told, ...place);
    }
    ctx.restore();
  }

  // Signs along the curves, which tell measures apart without colour; and rows of bars.
  function over(plot, spec) {
    spec.curves.forEach((curve, number) => {
      if (!curve.marker || !plot.series[number + 1].show) return;
      let last = -Infinity;
      plot.data[number + 1].forEach((value, at) => {
        if (value == null) return;
        const x = plot.valToPos(plot.data[0][at], "x", true);
        if (x - last < APART * uPlot.pxRatio || x < plot.bbox.left) return;
        sign(plot, curve.marker, x, plot.valToPos(value, "y", true), colour(curve.colour), false);
        last = x;
      });
    });
    spec.lanes.forEach((lane, row) => lane.bars.forEach((bar) => one(plot, spec, bar, row)));
  }

  function one(plot, spec, bar, row) {
    const { ctx, bbox } = plot, ratio = uPlot.pxRatio;
    const y = plot.valToPos(spec.lanes.length - row - 0.5, "y", true);
    const from = clamp(plot.valToPos(bar.began, "x", true), bbox.left, bbox.left + bbox.width);
    if (bar.ended === bar.began) {
      sign(plot, "M0-6L6 0L0 6L-6 0Z", from, y, colour(bar.colour), true);
      return;
    }
    const to = clamp(plot.valToPos(bar.ended ?? spec.end, "x", true), bbox.left, bbox.left + bbox.width);
    ctx.fillStyle = colour(bar.colour);
    ctx.fillRect(from, y - 8 * ratio, Math.max(to - from, 3 * ratio), 16 * ratio);
  }

  // --- what is told

  function near(state, at) {
    const { plot, spec } = state;
    const x = plot.valToPos(at, "x");
    const close = (when) => Math.abs(plot.valToPos(when, "x") - x) <= NEAR;
    const row = plot.cursor.top < 0 ? -1 : Math.floor((plot.cursor.top / plot.over.clientHeight) * spec.lanes.length);
    const bars = spec.lanes.flatMap((lane, number) => lane.bars.filter((bar) =>
      (state.keys || number === row) && (close(bar.began) || (bar.began <= at && at <= (bar.ended ?? spec.end)))));
    return [...spec.marks.filter((mark) => close(mark.at)), ...bars].map((one) => one.text);
  }

  function told(curve, state, number, at) {
    const value = state.truth[number][at], [least, most] = state.spec.clamp ?? [-Infinity, Infinity];
    if (value == null) return "–";
    if (value < least || value > most) return value < least ? `< ${short(least)}` : `> ${short(most)}`;
    const where = curve.low ? curve.x.indexOf(state.plot.data[0][at]) : -1;
    const [low, high] = where < 0 ? [null, null] : [curve.low[where], curve.high[where]];
    return low == null || high == null ? short(value) : `${short(value)} (${short(low)} to ${short(high)})`;
  }

  // Where the value of a curve is that counts at a place of the time axis; -1 where it has none about then.
  function atCursor(state, number, place) {
    const { plot, spec, truth } = state, times = plot.data[0];
    let at = plot.cursor.idxs[number + 1] ?? -1;
    if (spec.step) for (at = place; at >= 0 && truth[number][at] == null;) at -= 1;
    return at >= 0 && spec.period && Math.abs(times[at] - times[place]) > spec.period ? -1 : at;
  }

  // Time and place on the time axis of the cursor: between two points the pointer tells its own time where a value holds
  // until the next, and the time of the nearest point elsewhere.
  function pointed(state) {
    const { plot, spec } = state, times = plot.data[0];
    if (plot.cursor.left < 0 || plot.cursor.idx == null) return null;
    if (state.keys || !(spec.step || spec.lanes.length)) return { when: times[plot.cursor.idx], place: plot.cursor.idx };
    const when = plot.posToVal(plot.cursor.left, "x");
    return { when, place: times.findLastIndex((at) => at <= when) };
  }

  function newest(curve) {
    for (let at = curve.y.length - 1; at >= 0; at -= 1) if (curve.y[at] !== null) return at;
    return -1;
  }

  // The values at the cursor, or the newest where there is none.
  function tell(state) {
    const { plot, spec, figure } = state, cursor = pointed(state);
    const texts = spec.curves.map((curve, number) => {
      const at = cursor ? atCursor(state, number, cursor.place) : plot.data[0].indexOf(curve.x[newest(curve)]);
      return at < 0 ? "–" : told(curve, state, number, at);
    });
    for (const cell of figure.querySelectorAll("[data-curve]")) cell.textContent = texts[Number(cell.dataset.curve)];
    const readout = figure.querySelector(".readout");
    if (!cursor) {
      readout.replaceChildren(spec.curves.length ? "newest values" : "");
      return;
    }
    const time = `${iso(cursor.when).slice(0, 19).replace("T", " ")} UTC`;
    readout.replaceChildren([time, ...near(state, cursor.when)].join(" · "));
    if (!state.keys) return;
    const unseen = document.createElement("span");
    unseen.className = "unseen";
    unseen.textContent = spec.curves.map((curve, number) => ` ${curve.name}: ${texts[number]}`).join(",");
    readout.append(unseen);
  }

  function byKey(state, event) {
    const { plot } = state, last = plot.data[0].length - 1, at = plot.cursor.idx ?? last + 1;
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (next === undefined && event.key !== "Escape") return;
    event.preventDefault();
    state.keys = true;
    state.figure.querySelector(".readout").setAttribute("aria-live", "polite");
    const left = next === undefined ? -10 : plot.valToPos(plot.data[0][clamp(next, 0, last)], "x");
    plot.setCursor({ left, top: next === undefined ? -10 : plot.over.clientHeight / 2 });
  }

  // A part of the time that was chosen by dragging becomes the time of the page.
  function chosen(plot) {
    const { left, width } = plot.select;
    if (width < 2 * NEAR) return;
    const [from, to] = [left, left + width].map((at) => iso(plot.posToVal(at, "x")).slice(0, 19));
    const range = document.querySelector("form.range");
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (!range) return;
    range.elements.from.value = from;
    range.elements.to.value = to;
    range.requestSubmit();
  }

  // Only what a person chose of the measures is shown; choosing it again shows all.
  function only(state) {
    const buttons = state.figure.querySelectorAll(".legend button");
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.textContent === state.only));
      button.onclick = () => {
        state.only = state.only === button.textContent ? null : button.textContent;
        only(state);
      };
    }
    if (!buttons.length) return;
    const hidden = new Set();
    for (const row of state.figure.querySelectorAll(".legend tbody tr")) {
      if (state.only === null || row.querySelector("button").textContent === state.only) continue;
      for (const cell of row.querySelectorAll("[data-curve]")) hidden.add(Number(cell.dataset.curve));
    }
    let end = state.spec.curves.length + 1;
    state.spec.curves.forEach((curve, number) => {
      const show = !hidden.has(number);
      const own = curve.low ? [number + 1, end++, end++] : [number + 1];
      for (const each of own) if (state.plot.series[each].show !== show) state.plot.setSeries(each, { show });
    });
  }

  // --- making, keeping

  function make(figure, spec) {
    const box = figure.querySelector(".plot"), { data, truth } = tables(spec);
    const state = { figure, spec, truth, keys: false, held: false, only: null, shape: shape(spec) };
    state.plot = null;
    const height = spec.lanes.length ? ROW * spec.lanes.length + AXES + 12 : HEIGHT;
    const options = {
      width: Math.max(box.clientWidth, 200), height, padding: [8, RIGHT, 0, 0],
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, sync: { key: "time" }, drag: { x: true, y: false, setScale: false, dist: NEAR }, points: { size: 8 } },
      scales: {
        x: { time: true, range: () => [state.spec.start, state.spec.end] },
        y: { distr: spec.log ? 3 : 1, range: (plot, low, high) => extent(state.spec, low, high) },
      },
      axes: axes(spec), series: series(spec), bands: bands(spec),
      hooks: {
        drawAxes: [(plot) => under(plot, state.spec)],
        draw: [(plot) => over(plot, state.spec)],
        setCursor: [() => state.plot && tell(state)],
        setSelect: [chosen],
      },
    };
    state.plot = new uPlot(options, data, box);
    box.addEventListener("keydown", (event) => byKey(state, event));
    box.addEventListener("mousemove", () => { state.keys = false; });
    box.addEventListener("blur", () => {
      if (state.held) return;
      state.keys = false;
      state.figure.querySelector(".readout").setAttribute("aria-live", "off");
      state.plot.setCursor({ left: -10, top: -10 });
    });
    state.sized = new ResizeObserver(() => {
      if (box.clientWidth) state.plot.setSize({ width: box.clientWidth, height });
    });
    state.sized.observe(box);
    return state;
  }

  const shape = (spec) => JSON.stringify([
    spec.log, spec.step, spec.lanes.map((lane) => lane.name), spec.curves.map((curve) => [curve.name, curve.colour, !!curve.low]),
  ]);
  const read = (figure) => JSON.parse(figure.querySelector("script").textContent);

  function forget(id) {
    drawn.get(id)?.sized.disconnect();
    drawn.get(id)?.plot.destroy();
    drawn.delete(id);
  }

  // Puts the plots of the figures that come again into the new page, before it takes the place of the old one.
  function keep(fresh) {
    for (const [id, state] of drawn) {
      const figure = fresh.querySelector(`#${CSS.escape(id)}`);
      if (figure === null || shape(read(figure)) !== state.shape) forget(id);
      else {
        state.held = true; // a plot that moves loses the focus for a moment
        figure.querySelector(".plot").replaceWith(state.figure.querySelector(".plot"));
        figure.querySelector(".readout").setAttribute("aria-live", state.keys ? "polite" : "off");
        state.figure = figure;
      }
    }
  }

  function draw() {
    for (const figure of document.querySelectorAll("figure.chart")) {
      const state = drawn.get(figure.id) ?? make(figure, read(figure));
      if (drawn.has(figure.id)) {
        state.spec = read(figure);
        const { data, truth } = tables(state.spec);
        state.truth = truth;
        state.plot.setData(data);
        state.plot.syncRect(true);
        state.held = false;
      }
      drawn.set(figure.id, state);
      only(state);
      tell(state);
    }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const { plot } of drawn.values()) plot.redraw(false);
  });
  return { draw, keep, drawn };
})();
