// Draws the charts of a page from the data beside them; the table below each says the same.
// Data: {x, unit, series: [{name, kind: bar|line|dash|area|band|mark, color, values, low?}], min?}
(() => {
  "use strict";
  const drawn = new Map();

  function theme() {
    const style = getComputedStyle(document.documentElement);
    const probe = document.createElement("i");
    document.body.append(probe);
    const color = (name) => {
      probe.style.color = `var(--${name})`;
      return getComputedStyle(probe).color;
    };
    const names = ["ink", "mute", "line", "card", "steps", "heart", "kcal", "sleep", "accent", "band", "good"];
    const colors = Object.fromEntries(names.map((name) => [name, color(name)]));
    probe.remove();
    return { colors, font: style.getPropertyValue("--font") };
  }

  const number = (value) => value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 1 : 0 });

  function base(series, colors) {
    const color = colors[series.color] ?? colors.ink;
    return {
      name: series.name, data: series.values, color, symbol: "none", animation: false,
      emphasis: { disabled: true }, z: series.kind === "bar" ? 2 : 3,
    };
  }

  // A value without neighbours makes no line; it is drawn as a dot.
  const dots = (s) => ({
    symbol: "circle",
    symbolSize: (_, at) => (s.values[at.dataIndex - 1] == null && s.values[at.dataIndex + 1] == null ? 5 : 0),
  });

  const shapes = {
    bar: (s, c) => [{ ...base(s, c), type: "bar", barMaxWidth: 18, barCategoryGap: "28%", itemStyle: { borderRadius: [3, 3, 0, 0] } }],
    line: (s, c) => [{ ...base(s, c), ...dots(s), type: "line", lineStyle: { width: 2 }, connectNulls: false }],
    dash: (s, c) => [{ ...base(s, c), type: "line", lineStyle: { width: 1.3, type: [4, 3] } }],
    area: (s, c) => [{ ...base(s, c), type: "line", lineStyle: { width: 2 }, areaStyle: { opacity: 0.09 } }],
    mark: (s, c) => [{ ...base(s, c), type: "scatter", symbol: "rect", symbolSize: [28, 3], z: 4 }],
    // A band is its lower edge, unseen, and what lies between, stacked on it.
    band: (s, c) => {
      const between = s.values.map((high, i) => (high === null ? null : high - s.low[i]));
      const edge = { ...base(s, c), type: "line", stack: s.name, lineStyle: { opacity: 0 }, z: 1 };
      return [
        { ...edge, name: "", data: s.low },
        { ...edge, data: between, areaStyle: { opacity: 1, color: base(s, c).color } },
      ];
    },
  };

  function tooltip(spec, colors, font) {
    const line = (s, i) => {
      const value = s.values[i];
      if (value === null || value === undefined) return null;
      const text = s.kind === "band" ? `${number(s.low[i])} – ${number(value)}` : number(value);
      return `{n|${s.name}}  {v|${text}${spec.unit ? ` ${spec.unit}` : ""}}`;
    };
    return {
      trigger: "axis", renderMode: "richText", confine: true, transitionDuration: 0,
      backgroundColor: colors.card, borderColor: colors.line, padding: 10,
      textStyle: { color: colors.ink, fontFamily: font, fontSize: 12, rich: {
        h: { fontWeight: 600, lineHeight: 18 }, n: { color: colors.mute, lineHeight: 18 }, v: { fontWeight: 600, lineHeight: 18 },
      } },
      axisPointer: { type: "line", lineStyle: { color: colors.mute, width: 1 } },
      formatter: (points) => {
        const i = points[0].dataIndex;
        return [`{h|${spec.long?.[i] ?? spec.x[i]}}`, ...spec.series.map((s) => line(s, i)).filter(Boolean)].join("\n");
      },
    };
  }

  function option(spec) {
    const { colors, font } = theme();
    const label = { color: colors.mute, fontFamily: font, fontSize: 12 };
    const step = spec.every ?? 1, first = spec.first ?? 0;
    return {
      animation: false,
      aria: { enabled: false },
      grid: { left: 4, right: 10, top: 10, bottom: 2, containLabel: true },
      tooltip: tooltip(spec, colors, font),
      xAxis: {
        type: "category", data: spec.x, boundaryGap: spec.series.some((s) => s.kind === "bar"),
        axisTick: { show: false }, axisLine: { lineStyle: { color: colors.line } },
        axisLabel: { ...label, interval: (i) => i >= first && (i - first) % step === 0, hideOverlap: true },
      },
      yAxis: {
        type: "value", min: spec.min, splitNumber: 4, minInterval: 1,
        splitLine: { lineStyle: { color: colors.line } }, axisLabel: { ...label, formatter: number },
      },
      series: spec.series.flatMap((s) => shapes[s.kind](s, colors)),
    };
  }

  function draw(element) {
    const source = document.getElementById(element.dataset.chart);
    const text = source?.textContent ?? "";
    const known = drawn.get(element);
    if (!text || known?.text === text) return;
    const chart = known?.chart ?? echarts.init(element, null, { renderer: "svg" });
    const spec = JSON.parse(text);
    chart.setOption(option(spec), { notMerge: true });
    drawn.set(element, { chart, spec, text });
    if (!known) new ResizeObserver(() => chart.resize()).observe(element);
  }

  function drawAll() {
    for (const [element, { chart }] of drawn) {
      if (element.isConnected) continue;
      chart.dispose();
      drawn.delete(element);
    }
    document.querySelectorAll("[data-chart]").forEach(draw);
    for (const table of document.querySelectorAll("details.data:not([data-ready])")) {
      table.open = false;
      table.dataset.ready = "";
    }
  }

  function recolor() {
    for (const { chart, spec } of drawn.values()) chart.setOption(option(spec), { notMerge: true });
  }

  document.addEventListener("DOMContentLoaded", drawAll);
  document.addEventListener("htmx:after:swap", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolor);
})();
