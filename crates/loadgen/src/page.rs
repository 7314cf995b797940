//! The report of a phase as one page: its figures as a table, charts beside. Nothing is loaded from elsewhere.

use serde_json::Value;

use crate::{
    chart::{Chart, figure},
    driver::Sample,
    measure::Outcome,
};

const STYLE: &str = "\
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --faint: #d9dee5; --line: #1565c0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e8ee; --paper: #14181d; --faint: #343c46; --line: #6db3f8; } }
body { margin: 2rem auto; max-width: 46rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
       color: var(--ink); background: var(--paper); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td { border-bottom: 1px solid var(--faint); padding: .2rem .5rem .2rem 0; }
td + td { text-align: right; }
figure { margin: 2rem 0; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .axis { opacity: .7; }
svg .grid { stroke: var(--faint); }
svg polyline { fill: none; stroke: var(--line); stroke-width: 2; stroke-linejoin: round; }
";

/// The page.
pub fn page(outcome: &Outcome) -> String {
    let text = |name: &str| outcome.figures.get(name).map(shown).unwrap_or_default();
    let title = format!("{} on {}", text("phase"), text("target"));
    let charts: String = charts(outcome).iter().map(Chart::svg).collect();
    let rows: String = rows(outcome)
        .into_iter()
        .map(|(name, value)| format!("<tr><td>{}</td><td>{}</td></tr>\n", escaped(&name), escaped(&value)))
        .collect();
    format!(
        "<!doctype html>\n<html lang='en'>\n<head><meta charset='utf-8'>\
         <meta name='viewport' content='width=device-width, initial-scale=1'>\
         <title>rjabberd-load: {title}</title>\n<style>\n{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n\
         {charts}\n<h2>Figures</h2>\n<table>\n{rows}</table>\n</body>\n</html>\n",
        title = escaped(&title)
    )
}

fn charts(outcome: &Outcome) -> Vec<Chart<'static>> {
    let samples = &outcome.samples;
    let over_time = |title, up, points| Chart {
        title,
        across: "seconds",
        up,
        points,
        marks: None,
        is_logarithmic: false,
    };
    let mut charts = vec![latency(outcome)];
    charts.push(over_time("Throughput", "operations/s", rates(samples, |sample| sample.operations as f64)));
    if samples.iter().any(|sample| sample.server_rss_kib > 0) {
        let cpu = rates(samples, |sample| sample.server_cpu.total_us() / 1e4);
        charts.push(over_time("CPU time of the server", "% of a core", cpu));
        let memory = samples.iter().map(|sample| (sample.seconds, sample.server_rss_kib as f64 / 1024.0));
        charts.push(over_time("Resident memory of the server", "MiB", memory.collect()));
    }
    charts
}

/// Latency over its percentiles, which are spread so that 90, 99 and 99.9 % lie as far from each other as 0 and 90.
fn latency(outcome: &Outcome) -> Chart<'static> {
    let place = |percent: f64| -(1.0 - percent / 100.0).max(1e-5).log10();
    let curve = outcome.latencies.curve();
    Chart {
        title: "Latency",
        across: "% of operations",
        up: "µs",
        points: curve.iter().map(|(percent, us)| (place(*percent), *us as f64)).collect(),
        marks: Some([0.0, 50.0, 90.0, 99.0, 99.9, 99.99].map(|one| (place(one), figure(one))).to_vec()),
        is_logarithmic: true,
    }
}

/// How fast a figure grew between each two looks.
fn rates(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    let pairs = samples.windows(2).filter(|pair| pair[1].seconds > pair[0].seconds);
    pairs
        .map(|pair| (pair[1].seconds, (of(&pair[1]) - of(&pair[0])) / (pair[1].seconds - pair[0].seconds)))
        .collect()
}

fn rows(outcome: &Outcome) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for (name, value) in &outcome.figures {
        match value {
            Value::Object(parts) => {
                rows.extend(parts.iter().map(|(part, value)| (format!("{name}: {part}"), shown(value))));
            }
            value => rows.push((name.clone(), shown(value))),
        }
    }
    rows
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    crate::element::escape(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        process::Cpu,
        tally::{Errors, Latencies},
    };

    #[test]
    fn the_page_has_every_chart_and_loads_nothing() {
        let mut outcome = Outcome::default();
        outcome.put("phase", "chat");
        outcome.put("target", "<evil>");
        let mut latencies = Latencies::default();
        (1..500).for_each(|us| latencies.record(Duration::from_micros(us)));
        let mut errors = Errors::default();
        errors.count("a & b".to_owned());
        outcome.put_tally(&latencies, &errors);
        outcome.samples = (0..4_u32)
            .map(|number| Sample {
                seconds: number.into(),
                operations: 10 * u64::from(number),
                server_cpu: Cpu { user_us: 5e5 * f64::from(number), sys_us: 0.0 },
                server_rss_kib: 2048,
            })
            .collect();
        let page = page(&outcome);
        assert_eq!(page.matches("<polyline").count(), 4);
        assert!(page.contains("errors: a &amp; b") && page.contains("&lt;evil&gt;"), "{page}");
        for word in ["http:", "https:", "src=", "href=", "url(", "@import", "<evil>"] {
            assert!(!page.contains(word), "{word}");
        }
        let rates = rates(&outcome.samples, |sample| sample.server_cpu.total_us() / 1e4);
        assert_eq!(rates, [(1.0, 50.0), (2.0, 50.0), (3.0, 50.0)]);
    }
}
